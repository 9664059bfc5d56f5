//! Flags, environment variables and files, turned into checked values.
//!
//! Each option is one entry in the group that it belongs to; [`group`] describes what an entry gives.

mod backup;
mod check;
mod database;
mod destination;
mod encryption;
mod errors;
mod greeting;
mod group;
mod log;
mod migrate;
mod oidc;
mod option;
mod postgres;
mod rate_limit;
mod restore;
mod seed;
mod serve;
mod server;

use clap::ArgMatches;

pub use backup::{
    BackupConfig, BackupOptions, DumpFormat, FetchConfig, ProofOptions, ScratchServerConfig,
    VerifyConfig,
};
pub use destination::{BucketConfig, CredentialsConfig, DestinationConfig};
pub use encryption::{IdentityOptions, read_identities};
pub use errors::ConfigErrors;
pub use greeting::GreetingOptions;
pub use group::OptionGroup;
pub use log::LogOptions;
pub use migrate::{MigrateConfig, RolePasswords};
pub use option::Entry;
pub use postgres::PostgresConnectionOptions;
pub use restore::{RestoreConfig, RestoreId, StageConfig};
pub use seed::{SeedConfig, SeedOptions};
pub use serve::ServeConfig;
pub use server::{AdminOptions, ServerOptions};

/// A group of options under its heading.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub heading: &'static str,
    /// The options, in order.
    pub entries: Vec<Entry>,
}

impl Section {
    fn from_group<G: OptionGroup>() -> Self {
        Self {
            heading: G::HEADING,
            entries: G::entries(),
        }
    }
}

/// What a command runs with.
pub trait CommandConfig: Sized {
    /// The options of the command.
    fn sections() -> Vec<Section>;

    /// Adds the options to a command, under their headings.
    fn arguments(command: clap::Command) -> clap::Command {
        Self::sections().iter().fold(command, |command, section| {
            command
                .next_help_heading(section.heading)
                .args(section.entries.iter().map(Entry::to_arg))
        })
    }

    /// The checked values; `None` when a mistake was recorded.
    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self>;

    /// The checked values.
    ///
    /// # Errors
    /// All mistakes, each with its option and what the option accepts.
    fn from_matches(matches: &ArgMatches) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let config = Self::read(matches, &mut errors);
        errors.finish(config)
    }
}

/// A group alone can be all that a command needs.
impl<G: OptionGroup> CommandConfig for G {
    fn sections() -> Vec<Section> {
        vec![Section::from_group::<G>()]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        G::read_group(matches, errors)
    }
}

#[cfg(test)]
mod tests;
