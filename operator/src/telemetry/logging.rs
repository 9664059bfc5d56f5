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
