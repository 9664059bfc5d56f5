//! What `serve` runs with.

use clap::ArgMatches;

use super::database::DatabaseOptions;
use super::group::OptionGroup;
use super::oidc::OidcOptions;
use super::rate_limit::ClientLimitOptions;
use super::{
    AdminOptions, CommandConfig, ConfigErrors, GreetingOptions, LogOptions,
    PostgresConnectionOptions, Section, ServerOptions,
};
use crate::api::RateLimitOptions;
use crate::auth::OidcConfig;
use crate::store::DatabaseUrlSource;

/// What `serve` runs with.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where the API listens, and what bounds the connections of clients.
    pub server: ServerOptions,
    /// Where health and metrics are served.
    pub admin: AdminOptions,
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How many connections to PostgreSQL there are.
    pub postgres: PostgresConnectionOptions,
    /// Which names are accepted, and when birthdays are.
    pub greeting: GreetingOptions,
    /// The rules for tokens, when modifying users needs one.
    pub oidc: Option<OidcConfig>,
    /// What each client may do, when that is limited.
    pub rate_limit: Option<RateLimitOptions>,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for ServeConfig {
    fn sections() -> Vec<Section> {
        vec![
            Section::from_group::<ServerOptions>(),
            Section::from_group::<AdminOptions>(),
            DatabaseOptions::section(),
            Section::from_group::<PostgresConnectionOptions>(),
            Section::from_group::<GreetingOptions>(),
            Section::from_group::<OidcOptions>(),
            Section::from_group::<ClientLimitOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let server = ServerOptions::read_group(matches, errors);
        let admin = AdminOptions::read_group(matches, errors);
        let database = DatabaseOptions::or_embedded(matches, errors);
        let postgres = PostgresConnectionOptions::read_group(matches, errors);
        let greeting = GreetingOptions::read_group(matches, errors);
        let oidc = OidcOptions::oidc(matches, errors);
        let client_limit = ClientLimitOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            server: server?,
            admin: admin?,
            database: database?,
            postgres: postgres?,
            greeting: greeting?,
            oidc: oidc?,
            rate_limit: client_limit?.limit(),
            log: log?,
        })
    }
}
