//! The commands of `backup`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, value_parser};

use super::command::{BackupCommand, Command, Kind, Subcommand};
use crate::config::{
    BackupConfig, CommandConfig, ConfigErrors, DestinationConfig, FetchConfig, ScratchServerConfig,
    VerifyConfig,
};

const RUN_HELP: &str = "\
Dumps one instant of the database, restores the dump into a throw-away server, compares what is in there with the
database, and only then deletes old backups. A backup is a set of files of one name; its manifest (.json) is the last
of them, and without it there is no backup. The result is printed as one JSON object.

The throw-away server is a superuser's: to back up a database whose owner you do not trust, run it elsewhere, with
`backup scratch-server` and --scratch.

  hello-app backup run --database-url postgres://hello_backup@db/hello --directory /backups

With --s3-bucket the backups are in a bucket. What was uploaded is read back from there, and that is what is proved.

  AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \\
    hello-app backup run --database-url postgres://hello_backup@db/hello --s3-bucket backups --s3-region eu-central-1

A dump needs no hello-app to be restored: pg_restore --no-owner --dbname URL /backups/NAME.dump

With --encrypt-to the files are encrypted in the format of age, to all the public keys that are given; each of the secret
keys opens them alone. What is proved is the dump before it is encrypted; the encrypted file is read back and compared by
its SHA-256. Plain text is in the folder for temporary files (TMPDIR) meanwhile, never in the destination.

  age --decrypt --identity KEY-FILE /backups/NAME.dump.age | pg_restore --no-owner --dbname URL";

const VERIFY_HELP: &str = "\
Checks the SHA-256 of each file, restores the dump into a throw-away server, and compares what is in there with the
manifest. Nothing is changed; the database is not needed. An encrypted backup is opened with --identity-file; without it
only its SHA-256 can be checked, which is a failure, with a message that says so.

  hello-app backup verify latest --directory /backups";

const FETCH_HELP: &str = "\
Copies all files of a backup, and checks the SHA-256 of the copies. Nothing is overwritten. With --identity-file, the
copies of an encrypted backup are opened: they are plain dumps, and no backup any more that `list` shows.

  hello-app backup fetch latest --directory /backups --to .";

const SCRATCH_HELP: &str = "\
Waits for another command with --scratch and the same folder, then starts a PostgreSQL server as that asks for. The
server is reached through a socket in the folder only, needs no password, and keeps nothing. It ends with SIGTERM, or
with the process that started it.";

/// The commands.
pub(super) const COMMANDS: [Subcommand; 5] = [
    Subcommand {
        name: "run",
        about: "Make a backup, prove it by restoring it, and delete old ones",
        kind: Kind::Command {
            arguments: |command| BackupConfig::arguments(command.after_help(RUN_HELP)),
            read: |matches| {
                let config = BackupConfig::from_matches(matches)?;
                Ok(Command::Backup(BackupCommand::Run(Box::new(config))))
            },
        },
    },
    Subcommand {
        name: "list",
        about: "Show the backups, and which of them count",
        kind: Kind::Command {
            arguments: |command| {
                let output = Arg::new("output")
                    .short('o')
                    .long("output")
                    .default_value("table")
                    .value_parser(PossibleValuesParser::new(["table", "json"]))
                    .help("How they are shown");
                DestinationConfig::arguments(command.arg(output))
            },
            read: |matches| {
                let destination = DestinationConfig::from_matches(matches)?;
                let json = matches
                    .get_one::<String>("output")
                    .is_some_and(|output| output == "json");
                Ok(Command::Backup(BackupCommand::List { destination, json }))
            },
        },
    },
    Subcommand {
        name: "verify",
        about: "Prove a backup again",
        kind: Kind::Command {
            arguments: |command| {
                VerifyConfig::arguments(command.after_help(VERIFY_HELP).arg(name_argument()))
            },
            read: |matches| {
                let config = VerifyConfig::from_matches(matches)?;
                let name = name(matches);
                Ok(Command::Backup(BackupCommand::Verify { config, name }))
            },
        },
    },
    Subcommand {
        name: "fetch",
        about: "Copy a backup, and check the copy",
        kind: Kind::Command {
            arguments: |command| {
                let to = Arg::new("to")
                    .long("to")
                    .required(true)
                    .value_name("FOLDER")
                    .value_parser(value_parser!(PathBuf))
                    .help("Folder of the copy");
                let command = command.after_help(FETCH_HELP).arg(name_argument()).arg(to);
                FetchConfig::arguments(command)
            },
            read: read_fetch,
        },
    },
    Subcommand {
        name: "scratch-server",
        about: "Be the throw-away server that dumps are restored into",
        kind: Kind::Command {
            arguments: |command| ScratchServerConfig::arguments(command.after_help(SCRATCH_HELP)),
            read: |matches| {
                let config = ScratchServerConfig::from_matches(matches)?;
                Ok(Command::Backup(BackupCommand::ScratchServer(config)))
            },
        },
    },
];

fn name_argument() -> Arg {
    Arg::new("name")
        .required(true)
        .value_name("NAME")
        .help("Name of the backup as `list` shows it, or `latest` for the newest that counts")
}

fn name(matches: &ArgMatches) -> String {
    let name = matches.get_one::<String>("name").cloned();
    name.unwrap_or_default() // clap requires it
}

fn read_fetch(matches: &ArgMatches) -> Result<Command, ConfigErrors> {
    let to = matches.get_one::<PathBuf>("to").cloned();
    Ok(Command::Backup(BackupCommand::Fetch {
        config: FetchConfig::from_matches(matches)?,
        name: name(matches),
        to: to.unwrap_or_default(), // clap requires it
    }))
}
