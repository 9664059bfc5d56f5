//! The connection to the API server, and what goes over it.

pub mod api;
pub mod connection;
pub mod empty_kinds;
pub mod fence;
pub mod optional_apis;
pub mod own_writes;
pub mod reviews;
pub mod taken_names;

#[cfg(test)]
pub(crate) mod test_server;
