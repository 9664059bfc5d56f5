//! The command line: which commands there are, and what each runs with.

mod backup;
mod command;
mod restore;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

pub use self::command::{BackupCommand, Command, RestoreCommand};
use self::command::{Kind, Subcommand};
use crate::config::{
    AdminOptions, CommandConfig, ConfigErrors, MigrateConfig, SeedConfig, ServeConfig,
};

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
    read(&COMMANDS, &matches)
}

/// Reads what is given for one of `commands`.
fn read(commands: &[Subcommand], matches: &ArgMatches) -> Result<Command, CliError> {
    // clap refuses command lines without a command, and with unknown ones.
    let given = matches.subcommand().and_then(|(name, matches)| {
        let known = commands.iter().find(|command| command.name == name)?;
        Some((known, matches))
    });
    let Some((known, matches)) = given else {
        return Err(command()
            .error(clap::error::ErrorKind::MissingSubcommand, "no command")
            .into());
    };
    match known.kind {
        Kind::Command { read, .. } => Ok(read(matches)?),
        Kind::Group(commands) => read(commands, matches),
    }
}

const COMMANDS: [Subcommand; 8] = [
    Subcommand {
        name: "serve",
        about: "Serve the API",
        kind: Kind::Command {
            arguments: ServeConfig::arguments,
            read: |matches| {
                let config = ServeConfig::from_matches(matches)?;
                Ok(Command::Serve(Box::new(config)))
            },
        },
    },
    Subcommand {
        name: "migrate",
        about: "Migrate the database to the schema of this program, and create or update its roles",
        kind: Kind::Command {
            arguments: MigrateConfig::arguments,
            read: |matches| MigrateConfig::from_matches(matches).map(Command::Migrate),
        },
    },
    Subcommand {
        name: "backup",
        about: "Back up the database into a folder or a bucket, and look at the backups there",
        kind: Kind::Group(&backup::COMMANDS),
    },
    Subcommand {
        name: "restore",
        about: "Restore a backup beside the live data, compare the two, and exchange them",
        kind: Kind::Group(&restore::COMMANDS),
    },
    Subcommand {
        name: "seed",
        about: "Fill a migrated database with made-up people",
        kind: Kind::Command {
            arguments: SeedConfig::arguments,
            read: |matches| SeedConfig::from_matches(matches).map(Command::Seed),
        },
    },
    Subcommand {
        name: "openapi",
        about: "Print the OpenAPI document of the API",
        kind: Kind::Command {
            arguments: |command| command,
            read: |_| Ok(Command::Openapi),
        },
    },
    Subcommand {
        name: "install-to",
        about: "Copy this program to a folder, for init containers of images without `cp`",
        kind: Kind::Command {
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
    },
    Subcommand {
        name: "healthcheck",
        about: "Ask a running service whether it is ready",
        kind: Kind::Command {
            arguments: AdminOptions::arguments,
            read: |matches| AdminOptions::from_matches(matches).map(Command::Healthcheck),
        },
    },
];

/// The command line as clap describes and reads it.
fn command() -> clap::Command {
    let program = clap::Command::new("hello-app")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stores dates of birth and greets users on their birthday")
        .subcommand_required(true)
        .arg_required_else_help(true);
    with(program, &COMMANDS)
}

/// Adds commands, and theirs.
fn with(program: clap::Command, commands: &[Subcommand]) -> clap::Command {
    commands.iter().fold(program, |program, command| {
        let subcommand = clap::Command::new(command.name).about(command.about);
        program.subcommand(match command.kind {
            Kind::Command { arguments, .. } => arguments(subcommand),
            Kind::Group(commands) => with(
                subcommand
                    .subcommand_required(true)
                    .arg_required_else_help(true),
                commands,
            ),
        })
    })
}

#[cfg(test)]
mod tests;
