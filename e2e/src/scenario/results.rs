//! The table of results, which `e2e/run` prints at the end.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Reports a scenario that cannot be shown on this cluster: by name, with the reason, never silently.
///
/// # Errors
/// When the result cannot be written down.
pub fn skip(name: &'static str, reason: &str) -> Result<()> {
    let _ = writeln!(
        std::io::stderr(),
        "[{name}] NOT RUN on this cluster: {reason}"
    );
    append(&format!("{name}\tnot run\t0.0\t{reason}"))
}

/// The folder of dumps and of the table of results: `HELLO_E2E_OUT`, or a folder of the temporary directory.
pub fn output_folder() -> PathBuf {
    std::env::var_os("HELLO_E2E_OUT")
        .map_or_else(|| std::env::temp_dir().join("hello-e2e"), PathBuf::from)
}

pub(super) fn append(line: &str) -> Result<()> {
    let folder = output_folder();
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("results.tsv");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)?;
    writeln!(file, "{line}").with_context(|| format!("cannot write {}", path.display()))
}
