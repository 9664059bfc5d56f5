//! The log on standard error, panics included.

use std::{io::IsTerminal, panic::PanicHookInfo};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Form of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log stores.
    Json,
}

/// Starts the log of this process, and sends the messages of panics there.
///
/// # Errors
/// When `level` is neither a level nor a filter.
pub fn start(level: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(level)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people, not for files.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs the place in the code only. What catches the panic logs its message, unless that may contain a secret.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(location, "the code panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variable that makes this test the process that panics: the hook is one for the whole process.
    const PASSWORD: &str = "TEST_PANICS_WITH";

    #[test]
    fn a_panic_is_logged_by_its_place_and_without_values() {
        if let Ok(password) = std::env::var(PASSWORD) {
            start("info", LogFormat::Json).unwrap();
            let panics = std::thread::spawn(move || panic!("{password} is wrong"));
            assert!(panics.join().is_err());
            return;
        }
        let name = "telemetry::logging::tests::a_panic_is_logged_by_its_place_and_without_values";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", name])
            .env(PASSWORD, "hunter2")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8(output.stderr).unwrap();
        let line = log.lines().find(|line| line.starts_with('{')).unwrap();
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["level"], "ERROR", "{log}");
        let location = entry["location"].as_str().unwrap();
        assert!(location.contains("telemetry/logging.rs:"), "{location}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}
