//! Entry point: everything is in the library.

use std::io::Write;
use std::process::ExitCode;

use hello_app::cli::{self, CliError};
use hello_app::commands;

fn main() -> ExitCode {
    let done = match cli::parse(std::env::args_os()) {
        Ok(command) => commands::run(command),
        Err(CliError::Usage(error)) => error.exit(),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to report it when even this cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            commands::exit_code(&*error)
        }
    }
}
