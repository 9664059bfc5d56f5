//! Flags, environment variables and files, turned into checked values.

mod errors;
mod oidc;
mod rate_limit;
mod serve;
mod tasks;
mod tls;

pub use errors::ConfigErrors;
pub use serve::ServeConfig;
pub use tasks::{BackupConfig, DumpFormat, MigrateConfig, SeedConfig};
