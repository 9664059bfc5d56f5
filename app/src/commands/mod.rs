//! The commands, a file for each.

pub mod healthcheck;
pub mod install_to;
pub mod migrate;
pub mod seed;
pub mod serve;

use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;

use crate::cli::Command;
use crate::config::{BackupConfig, MigrateConfig, SeedConfig, ServeConfig};
use crate::telemetry::{LogSink, init_logging};

/// Does what the command line asks for.
///
/// # Errors
/// When it cannot be done; the text is for people and names no secret.
pub fn run(command: Command) -> Result<(), Box<dyn Error>> {
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    match command {
        Command::Serve(args) => {
            let config = ServeConfig::try_from(&*args)?;
            let sink = LogSink::new(std::io::stderr())?;
            crate::runtime::block_on(config.threads, serve::run(config, &sink))??;
        }
        Command::Migrate(args) => {
            let config = MigrateConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            let url = config.database.read()?;
            let migration = migrate::run(&url, config.wait, &config.passwords);
            let version = crate::runtime::block_on(ONE, migration)??;
            tracing::info!(version, "the database is migrated");
        }
        Command::Seed(args) => {
            let config = SeedConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            let url = config.database.read()?;
            crate::runtime::block_on(ONE, seed::run(&url, config.count, config.seed))??;
            tracing::info!(people = config.count, seed = config.seed, "seeded");
        }
        Command::Backup(args) => {
            let config = BackupConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            let report = crate::runtime::block_on(ONE, crate::backup::run(&config))??;
            let mut output = serde_json::to_vec(&report)?;
            output.push(b'\n');
            std::io::stdout().write_all(&output)?;
        }
        Command::Openapi => {
            std::io::stdout().write_all(crate::http::openapi::DOCUMENT.as_bytes())?;
        }
        Command::InstallTo { directory } => install_to::run(&directory)?,
        Command::Healthcheck(args) => {
            crate::runtime::block_on(ONE, healthcheck::run(args.admin_listen))??;
        }
    }
    Ok(())
}
