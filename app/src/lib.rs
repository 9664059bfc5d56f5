//! The hello service: remembers dates of birth and greets people on their birthday.

pub mod auth;
pub mod backup;
pub mod config;
pub mod domain;
pub mod healthcheck;
pub mod http;
pub mod install;
pub mod lifecycle;
pub mod migrate;
pub mod roles;
pub mod seed;
pub mod serve;
pub mod store;
pub mod telemetry;

use std::error::Error;
use std::io::Write;

use config::{BackupConfig, Command, MigrateConfig, SeedConfig, ServeConfig};
use telemetry::{LogSink, init_logging};

/// Does what the command line asks for.
///
/// # Errors
/// When it cannot be done; the text is for people and names no secret.
pub async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Serve(args) => {
            let config = ServeConfig::try_from(&*args)?;
            let sink = LogSink::new(std::io::stderr())?;
            serve::run(config, &sink).await?;
        }
        Command::Migrate(args) => {
            let config = MigrateConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            let url = config.database.read()?;
            let version = migrate::run(&url, config.wait, &config.passwords).await?;
            tracing::info!(version, "the database is migrated");
        }
        Command::Seed(args) => {
            let config = SeedConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            seed::run(&config.database.read()?, config.count, config.seed).await?;
            tracing::info!(people = config.count, seed = config.seed, "seeded");
        }
        Command::Backup(args) => {
            let config = BackupConfig::try_from(&args)?;
            let sink = LogSink::new(std::io::stderr())?;
            init_logging(&sink, config.log_level, config.log_format);
            let report = backup::run(&config).await?;
            let mut output = serde_json::to_vec(&report)?;
            output.push(b'\n');
            std::io::stdout().write_all(&output)?;
        }
        Command::Openapi => {
            std::io::stdout().write_all(http::openapi::DOCUMENT.as_bytes())?;
        }
        Command::InstallTo { directory } => install::run(&directory)?,
        Command::Healthcheck(args) => healthcheck::run(args.admin_listen).await?,
    }
    Ok(())
}
