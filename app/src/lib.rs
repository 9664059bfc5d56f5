//! The hello service: stores dates of birth and greets users on their birthday.

mod admin;
mod age;
pub mod api;
mod aside;
pub mod auth;
mod backup;
pub mod cli;
pub mod commands;
mod config;
pub mod domain;
mod http_client;
mod lifecycle;
mod pages;
mod postgres_url;
mod restore;
mod runtime;
mod secret;
pub mod serving;
mod store;
mod telemetry;
mod termination_message;
