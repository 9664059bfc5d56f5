//! The commands, a file for each.

mod backup;
mod exit;
mod healthcheck;
mod install_to;
mod logging;
mod migrate;
mod openapi;
mod restore;
mod seed;
mod serve;

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use self::logging::start_logging;
use crate::backup::BackupError;
use crate::cli::Command;
use crate::restore::RestoreError;
use crate::runtime::{block_on, default_threads};

/// Runs a command to its end.
///
/// # Errors
/// When it fails; the text is for people and names no secret.
pub fn run(command: Command) -> Result<(), Box<dyn Error>> {
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    match command {
        Command::Serve(config) => {
            let sink = start_logging(&config.log)?;
            let threads = config.server.threads.unwrap_or_else(default_threads);
            block_on(threads, serve::run(*config, &sink))??;
        }
        Command::Migrate(config) => {
            let _sink = start_logging(&config.log)?;
            block_on(ONE, migrate::run(config))??;
        }
        Command::Seed(config) => {
            let _sink = start_logging(&config.log)?;
            block_on(ONE, seed::run(config))??;
        }
        Command::Backup(command) => backup::run(command)?,
        Command::Restore(command) => restore::run(command)?,
        Command::Openapi => openapi::run()?,
        Command::InstallTo { directory } => install_to::run(&directory)?,
        Command::Healthcheck(admin) => block_on(ONE, healthcheck::run(admin.admin_listen))??,
    }
    Ok(())
}

/// The exit code of a command that failed; `docs/operate.md` explains them.
pub fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    let code = if let Some(error) = error.downcast_ref::<migrate::MigrateError>() {
        error.exit_code()
    } else if let Some(error) = error.downcast_ref::<BackupError>() {
        backup::exit_code(error)
    } else if let Some(error) = error.downcast_ref::<RestoreError>() {
        restore::exit_code(error)
    } else {
        exit::FAILURE
    };
    code.into()
}
