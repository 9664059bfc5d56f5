//! `install-to`: copies this program to a folder, for images that have no `cp`.

use std::io;
use std::path::Path;

/// The name of the copy.
const NAME: &str = "hello-app";

/// Copies the running program to `directory/hello-app`, replacing an older copy in one step.
///
/// # Errors
/// When the program cannot be read or the folder cannot be written.
pub fn run(directory: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let temporary = directory.join(format!(".{NAME}.{}", std::process::id()));
    std::fs::copy(program, &temporary)
        .and_then(|_| std::fs::rename(&temporary, directory.join(NAME)))
        .inspect_err(|_| {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&temporary);
        })
}
