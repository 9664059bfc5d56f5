//! `backup`: its commands, and what they print.

use std::error::Error;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;

use super::exit;
use super::logging::start_logging;
use crate::backup::{self, BackupError};
use crate::cli::BackupCommand;
use crate::runtime::block_on;

/// Runs one of the commands.
///
/// # Errors
/// When it fails, or its result cannot be printed.
pub fn run(command: BackupCommand) -> Result<(), Box<dyn Error>> {
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    match command {
        BackupCommand::Run(config) => {
            let _sink = start_logging(&config.log)?;
            print(&block_on(ONE, backup::run(&config))??)?;
        }
        BackupCommand::List { destination, json } => {
            print(&block_on(ONE, backup::list(&destination, json))??)?;
        }
        BackupCommand::Verify { config, name } => {
            let _sink = start_logging(&config.log)?;
            print(&block_on(ONE, backup::verify(&config, &name))??)?;
        }
        BackupCommand::Fetch { config, name, to } => {
            print(&block_on(ONE, backup::fetch(&config, &name, &to))??)?;
        }
        BackupCommand::ScratchServer(config) => {
            let _sink = start_logging(&config.log)?;
            block_on(ONE, backup::scratch_server(&config))??;
        }
    }
    Ok(())
}

/// The exit code for it.
pub fn exit_code(error: &BackupError) -> u8 {
    if error.lasts() {
        exit::REFUSED
    } else {
        exit::FAILURE
    }
}

fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
