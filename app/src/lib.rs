//! The hello service: remembers dates of birth and greets people on their birthday.

pub mod auth;
mod backup;
pub mod cli;
pub mod commands;
mod config;
pub mod domain;
pub mod http;
mod http_client;
mod lifecycle;
mod postgres_url;
mod runtime;
mod secret;
mod store;
pub mod telemetry;
