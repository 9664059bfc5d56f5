//! The command line: which commands there are, and what each runs with.

mod backup;
mod restore;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use crate::config::{
    AdminOptions, BackupConfig, CommandConfig, ConfigErrors, DestinationConfig, MigrateConfig,
    RestoreConfig, ScratchServerConfig, SeedConfig, ServeConfig, StageConfig, VerifyConfig,
};

/// A command, with checked values.
#[derive(Debug)]
pub enum Command {
    /// Serve the API.
    Serve(Box<ServeConfig>),
    /// Migrate the database, and create or update its roles.
    Migrate(MigrateConfig),
    /// Back up the database into a folder or a bucket, or look at what is in there.
    Backup(BackupCommand),
    /// Restore a backup beside the live data, and exchange the two.
    Restore(RestoreCommand),
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

/// A command of `backup`.
#[derive(Debug)]
pub enum BackupCommand {
    /// Make a backup and prove it.
    Run(Box<BackupConfig>),
    /// Show the backups.
    List {
        /// Where they are.
        destination: DestinationConfig,
        /// As JSON instead of a table.
        json: bool,
    },
    /// Prove a backup again.
    Verify {
        /// Where it is, and what it is proved with.
        config: VerifyConfig,
        /// Its name.
        name: String,
    },
    /// Copy a backup.
    Fetch {
        /// Where it is.
        destination: DestinationConfig,
        /// Its name.
        name: String,
        /// The folder of the copy.
        to: PathBuf,
    },
    /// Be the server that dumps are restored into.
    ScratchServer(ScratchServerConfig),
}

/// A command of `restore`.
#[derive(Debug)]
pub enum RestoreCommand {
    /// Put a backup beside the live data.
    Stage(Box<StageConfig>),
    /// Exchange it with the live data.
    Swap {
        /// What it runs with.
        config: RestoreConfig,
        /// Whether what the backup lacks may be lost.
        accept_data_loss: bool,
    },
    /// Exchange them back.
    Undo {
        /// What it runs with.
        config: RestoreConfig,
        /// Whether what was written since may be lost.
        accept_data_loss: bool,
    },
    /// Remove the data that was live before.
    DropPrevious(RestoreConfig),
    /// Remove what was restored and is not live.
    Discard(RestoreConfig),
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

/// One command of the program.
struct Subcommand {
    name: &'static str,
    about: &'static str,
    kind: Kind,
}

/// What a word of the command line is.
enum Kind {
    /// A command with its options.
    Command {
        arguments: fn(clap::Command) -> clap::Command,
        read: fn(&ArgMatches) -> Result<Command, ConfigErrors>,
    },
    /// Several commands.
    Group(&'static [Subcommand]),
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
