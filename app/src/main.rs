//! Entry point: everything is in the library.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use hello_app::cli::Cli;

fn main() -> ExitCode {
    match hello_app::commands::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere else to tell it when even this cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
