//! The hello service: remembers dates of birth and greets people on their birthday.

mod admin;
pub mod api;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod http_client;
pub mod lifecycle;
mod pages;
pub mod postgres_url;
pub mod runtime;
pub mod secret;
mod serving;
pub mod store;
mod telemetry;
