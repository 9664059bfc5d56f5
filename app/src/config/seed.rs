//! What `seed` runs with.

use clap::ArgMatches;

use super::check::parse;
use super::database::DatabaseOptions;
use super::group::{OptionGroup, option_group};
use super::option::value;
use super::{CommandConfig, ConfigErrors, LogOptions, Section};
use crate::store::DatabaseUrlSource;

option_group! {
    /// Which people are made up.
    "Seed" => pub struct SeedOptions {
        /// Number of people to make up.
        count: u32 = value("HELLO_SEED_COUNT", "1000", "a whole number", parse),
        /// Number that the people are made from. The same number makes the same people.
        seed: u64 = value("HELLO_SEED", "1", "a whole number", parse),
    }
}

/// What `seed` runs with.
#[derive(Debug)]
pub struct SeedConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// Which people are made up.
    pub people: SeedOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for SeedConfig {
    fn sections() -> Vec<Section> {
        vec![
            DatabaseOptions::section(),
            Section::from_group::<SeedOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let database = DatabaseOptions::required(matches, errors);
        let people = SeedOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            database: database?,
            people: people?,
            log: log?,
        })
    }
}
