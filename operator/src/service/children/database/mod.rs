//! The objects that run the database.

pub mod cnpg;
pub mod server;
pub mod transport;
pub mod volume_watch;
