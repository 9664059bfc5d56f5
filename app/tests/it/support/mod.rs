//! Starts the real program and the real database, and talks to them.

pub mod app;
pub mod authority;
pub mod client;
pub mod clock;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod issuer;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod signing;
pub mod tls_server;

use std::time::{Duration, Instant};

/// Asks again and again until `done` holds.
pub fn eventually(what: &str, deadline: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !done() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
