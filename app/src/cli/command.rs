//! What a command line leads to, and how a command is described to clap.

use std::path::PathBuf;

use clap::ArgMatches;

use crate::config::{
    AdminOptions, BackupConfig, ConfigErrors, DestinationConfig, FetchConfig, MigrateConfig,
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
        /// Where it is, and what it is opened with.
        config: FetchConfig,
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

/// One command of the program.
pub struct Subcommand {
    /// Its word.
    pub name: &'static str,
    /// What it does, for help.
    pub about: &'static str,
    /// What follows the word.
    pub kind: Kind,
}

/// What a word of the command line is.
pub enum Kind {
    /// A command with its options.
    Command {
        /// Adds its options.
        arguments: fn(clap::Command) -> clap::Command,
        /// Reads and checks them.
        read: fn(&ArgMatches) -> Result<Command, ConfigErrors>,
    },
    /// Several commands.
    Group(&'static [Subcommand]),
}
