//! Flags, environment variables and files, turned into checked values.

mod args;
mod checked;
mod rate_limit;
mod secret;
mod tls;

pub use args::{
    BackupArgs, Cli, Command, DatabaseArgs, HealthcheckArgs, MigrateArgs, OidcArgs, SeedArgs,
    ServeArgs,
};
pub use checked::{BackupConfig, ConfigErrors, DumpFormat, MigrateConfig, SeedConfig, ServeConfig};
pub use secret::Secret;
