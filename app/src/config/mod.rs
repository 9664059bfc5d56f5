//! Flags, environment variables and files, turned into checked values.

mod args;
mod errors;
mod oidc;
mod rate_limit;
mod secret;
mod serve;
mod tasks;
mod tls;

pub use args::{
    BackupArgs, Cli, Command, DatabaseArgs, HealthcheckArgs, MigrateArgs, OidcArgs, SeedArgs,
    ServeArgs,
};
pub use errors::ConfigErrors;
pub use secret::Secret;
pub use serve::ServeConfig;
pub use tasks::{BackupConfig, DumpFormat, MigrateConfig, SeedConfig};
