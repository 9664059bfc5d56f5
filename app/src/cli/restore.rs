//! The commands of `restore`.

use clap::{Arg, ArgAction, ArgMatches};

use super::command::{Command, Kind, RestoreCommand, Subcommand};
use crate::config::{CommandConfig, ConfigErrors, RestoreConfig, StageConfig};

const STAGE_HELP: &str = "\
Proves the backup again, puts the service's tables into a schema beside the live ones, compares them with the backup, and
counts what the live data has and the backup lacks. The live data and whoever uses it are left alone. Connect as the
owner, as `migrate` does. The result is printed as one JSON object.

  hello-app restore stage --id monday --database-url URL --directory /backups

Whoever was killed is continued by running the same command again: this is so for all commands of `restore`.";

const SWAP_HELP: &str = "\
Makes what was staged the live data, in one transaction. The former data stays in the schema that the result names as
`previous`. Without --accept-data-loss it happens only if the live data has no row that the backup lacks or has
differently at that instant.

  hello-app restore swap --id monday --database-url URL";

const UNDO_HELP: &str = "\
Makes the former data live again, in one transaction. What had been restored stays until `discard`. Without
--accept-data-loss it happens only if nothing was written since the swap that the former data lacks.";

/// The commands.
pub(super) const COMMANDS: [Subcommand; 5] = [
    Subcommand {
        name: "stage",
        about: "Put a backup beside the live data, and count what would be lost",
        kind: Kind::Command {
            arguments: |command| StageConfig::arguments(command.after_help(STAGE_HELP)),
            read: |matches| {
                let config = StageConfig::from_matches(matches)?;
                Ok(Command::Restore(RestoreCommand::Stage(Box::new(config))))
            },
        },
    },
    Subcommand {
        name: "swap",
        about: "Exchange the live data for what was staged",
        kind: Kind::Command {
            arguments: |command| with_consent(command.after_help(SWAP_HELP)),
            read: |matches| {
                read(matches, |config| RestoreCommand::Swap {
                    config,
                    accept_data_loss: consents(matches),
                })
            },
        },
    },
    Subcommand {
        name: "undo",
        about: "Exchange the live data for what was live before the swap",
        kind: Kind::Command {
            arguments: |command| with_consent(command.after_help(UNDO_HELP)),
            read: |matches| {
                read(matches, |config| RestoreCommand::Undo {
                    config,
                    accept_data_loss: consents(matches),
                })
            },
        },
    },
    Subcommand {
        name: "drop-previous",
        about: "Remove the data that was live before the swap",
        kind: Kind::Command {
            arguments: RestoreConfig::arguments,
            read: |matches| read(matches, RestoreCommand::DropPrevious),
        },
    },
    Subcommand {
        name: "discard",
        about: "Remove what was staged and never swapped, or was undone",
        kind: Kind::Command {
            arguments: RestoreConfig::arguments,
            read: |matches| read(matches, RestoreCommand::Discard),
        },
    },
];

fn with_consent(command: clap::Command) -> clap::Command {
    let consent = Arg::new("accept-data-loss")
        .long("accept-data-loss")
        .action(ArgAction::SetTrue)
        .help("Go on also when rows of the live data are lost. The result says how many");
    RestoreConfig::arguments(command.arg(consent))
}

fn consents(matches: &ArgMatches) -> bool {
    matches.get_flag("accept-data-loss")
}

fn read(
    matches: &ArgMatches,
    command: impl FnOnce(RestoreConfig) -> RestoreCommand,
) -> Result<Command, ConfigErrors> {
    RestoreConfig::from_matches(matches).map(|config| Command::Restore(command(config)))
}
