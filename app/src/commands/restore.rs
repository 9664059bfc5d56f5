//! `restore`: its commands, and what they print.

use std::error::Error;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;

use super::exit;
use super::logging::start_logging;
use crate::cli::RestoreCommand;
use crate::restore::{self, Outlook, RestoreError};
use crate::runtime::block_on;

/// Runs one of the commands.
///
/// # Errors
/// When it fails, or its result cannot be printed.
pub fn run(command: RestoreCommand) -> Result<(), Box<dyn Error>> {
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    let log = match &command {
        RestoreCommand::Stage(config) => &config.restore.log,
        RestoreCommand::Swap { config, .. }
        | RestoreCommand::Undo { config, .. }
        | RestoreCommand::DropPrevious(config)
        | RestoreCommand::Discard(config) => &config.log,
    };
    let _sink = start_logging(log)?;
    let result = match &command {
        RestoreCommand::Stage(config) => block_on(ONE, restore::stage(config)),
        RestoreCommand::Swap {
            config,
            accept_data_loss,
        } => block_on(ONE, restore::swap(config, *accept_data_loss)),
        RestoreCommand::Undo {
            config,
            accept_data_loss,
        } => block_on(ONE, restore::undo(config, *accept_data_loss)),
        RestoreCommand::DropPrevious(config) => block_on(ONE, restore::drop_previous(config)),
        RestoreCommand::Discard(config) => block_on(ONE, restore::discard(config)),
    };
    writeln!(io::stdout(), "{}", result??)?;
    Ok(())
}

/// The exit code for an error, by which the operator decides whether to try again.
pub fn exit_code(error: &RestoreError) -> u8 {
    match error.outlook() {
        Outlook::MayPass => exit::UNAVAILABLE,
        Outlook::Final => exit::REFUSED,
        Outlook::Misuse => exit::FAILURE,
    }
}
