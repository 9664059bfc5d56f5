//! The command line: which commands there are, and what each runs with.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use crate::config::{
    AdminOptions, BackupConfig, CommandConfig, ConfigErrors, MigrateConfig, SeedConfig, ServeConfig,
};

/// A command, with checked values.
#[derive(Debug)]
pub enum Command {
    /// Serve the API.
    Serve(Box<ServeConfig>),
    /// Migrate the database, and create or update its roles.
    Migrate(MigrateConfig),
    /// Dump the database into a folder.
    Backup(BackupConfig),
    /// Fill the database with made-up people.
    Seed(SeedConfig),
    /// Print the OpenAPI document.
    Openapi,
    /// Copy this program to a folder.
    InstallTo {
        /// The folder.
        directory: PathBuf,
    },
    /// Ask a running service whether it is ready.
    Healthcheck(AdminOptions),
}

/// Why the command line cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Not a command line of this program, or a request for help.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// The values of options are wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// Reads a command line, and the environment for what it does not give.
///
/// # Errors
/// See [`CliError`].
pub fn parse<T>(arguments: impl IntoIterator<Item = T>) -> Result<Command, CliError>
where
    T: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    // clap refuses command lines without a command.
    let Some((name, matches)) = matches.subcommand() else {
        return Err(command()
            .error(clap::error::ErrorKind::MissingSubcommand, "no command")
            .into());
    };
    COMMANDS
        .iter()
        .find(|command| command.name == name)
        .map_or_else(
            || {
                Err(command()
                    .error(clap::error::ErrorKind::InvalidSubcommand, name)
                    .into())
            },
            |command| Ok((command.read)(matches)?),
        )
}

/// One command of the program.
struct Subcommand {
    name: &'static str,
    about: &'static str,
    arguments: fn(clap::Command) -> clap::Command,
    read: fn(&ArgMatches) -> Result<Command, ConfigErrors>,
}

const COMMANDS: [Subcommand; 7] = [
    Subcommand {
        name: "serve",
        about: "Serve the API",
        arguments: ServeConfig::arguments,
        read: |matches| {
            Ok(Command::Serve(Box::new(ServeConfig::from_matches(
                matches,
            )?)))
        },
    },
    Subcommand {
        name: "migrate",
        about: "Migrate the database to the schema of this program, and create or update its roles",
        arguments: MigrateConfig::arguments,
        read: |matches| MigrateConfig::from_matches(matches).map(Command::Migrate),
    },
    Subcommand {
        name: "backup",
        about: "Dump the database into a folder, check the dump, and delete old dumps",
        arguments: BackupConfig::arguments,
        read: |matches| BackupConfig::from_matches(matches).map(Command::Backup),
    },
    Subcommand {
        name: "seed",
        about: "Fill a migrated database with made-up people",
        arguments: SeedConfig::arguments,
        read: |matches| SeedConfig::from_matches(matches).map(Command::Seed),
    },
    Subcommand {
        name: "openapi",
        about: "Print the OpenAPI document of the API",
        arguments: |command| command,
        read: |_| Ok(Command::Openapi),
    },
    Subcommand {
        name: "install-to",
        about: "Copy this program to a folder, for init containers of images without `cp`",
        arguments: |command| {
            let directory = Arg::new("directory")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Folder of the copy, which is named `hello-app`");
            command.arg(directory)
        },
        read: |matches| {
            let directory = matches.get_one::<PathBuf>("directory").cloned();
            Ok(Command::InstallTo {
                directory: directory.unwrap_or_default(), // clap requires it
            })
        },
    },
    Subcommand {
        name: "healthcheck",
        about: "Ask a running service whether it is ready",
        arguments: AdminOptions::arguments,
        read: |matches| AdminOptions::from_matches(matches).map(Command::Healthcheck),
    },
];

/// The command line as clap describes and reads it.
fn command() -> clap::Command {
    let program = clap::Command::new("hello-app")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stores dates of birth and greets users on their birthday")
        .subcommand_required(true)
        .arg_required_else_help(true);
    COMMANDS.iter().fold(program, |program, command| {
        let subcommand = clap::Command::new(command.name).about(command.about);
        program.subcommand((command.arguments)(subcommand))
    })
}

#[cfg(test)]
mod tests;
