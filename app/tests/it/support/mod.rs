//! Starts the real program and the real database, and connects to them.

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
pub mod s3;
pub mod session;
pub mod signing;
pub mod tls_server;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A deadline that is missed by what never happens, and not by a machine that has other work.
pub const LONG: Duration = Duration::from_secs(180);

/// Polls until `done` is true.
pub fn eventually(what: &str, deadline: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !done() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command, which succeeds; its output.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The path of a program of others, as `tests/program` prints it.
pub fn program(name: &str) -> String {
    printed_by_with("tests/program", &[name])
}

/// Output of a script of the project; `path` is relative to the app's folder.
pub fn printed_by(path: &str) -> String {
    printed_by_with(path, &[])
}

/// The same with arguments.
pub fn printed_by_with(path: &str, arguments: &[&str]) -> String {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let output = succeed(Command::new(script).args(arguments));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
