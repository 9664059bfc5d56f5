//! Tests the real program over HTTP, on a real PostgreSQL and on SQLite.

// clippy excuses only the test functions themselves, not what they call.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod age_vectors;
mod api;
mod backup;
mod bodies;
mod calendar;
mod conditional;
mod cross_origin;
mod database_tls;
mod docs;
mod faults;
mod framing;
mod friends;
mod install_to;
mod lifecycle;
mod migrate;
mod oidc;
mod owner;
mod rate_limit;
mod reports;
mod restore;
mod roles;
mod seed;
mod servers;
mod serving;
mod statements;
mod support;
mod traces;
mod users;
