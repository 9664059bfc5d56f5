//! The hello service: remembers dates of birth and greets people on their birthday.

pub mod auth;
pub mod backup;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod http;
pub mod http_client;
pub mod lifecycle;
pub mod postgres_url;
pub mod runtime;
pub mod secret;
pub mod store;
pub mod telemetry;
