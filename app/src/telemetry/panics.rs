//! Panics in the log, without personal data.
//!
//! A panic's formatted message may hold any value, so only a message that is a literal of the code is
//! logged, with the place in the code.

use std::any::Any;

/// Logs every panic as an error, instead of writing it to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(
            location = location.unwrap_or_default(),
            panic = panic_message(panic.payload()),
            "the code panicked"
        );
    }));
}

/// The message of a panic, when it is a literal of the code; otherwise a text in its place.
pub fn panic_message(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("a message with values, which is not logged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{LogFormat, LogSink, init_logging};

    /// The name of the variable that makes this test the process that panics.
    const PANICS: &str = "TEST_PANICS";

    /// The hook is one for the whole process, so the test starts itself as another process.
    #[test]
    fn a_panic_is_logged_by_its_place_and_without_values() {
        if std::env::var_os(PANICS).is_some() {
            let sink = LogSink::new(std::io::stderr(), LogFormat::Text).unwrap();
            init_logging(&sink, tracing::Level::INFO, LogFormat::Json);
            log_panics();
            let name = std::env::var(PANICS).unwrap();
            assert!(
                std::thread::spawn(move || panic!("{name} broke it"))
                    .join()
                    .is_err()
            );
            return;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "telemetry::panics::tests::a_panic_is_logged_by_its_place_and_without_values",
            ])
            .env(PANICS, "alice")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8(output.stderr).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(line["level"], "ERROR");
        let location = line["location"].as_str().unwrap();
        assert!(location.contains("telemetry/panics.rs:"), "{location}");
        assert!(!log.contains("alice"), "{log}");
    }

    #[test]
    fn only_literal_messages_are_shown() {
        let name = String::from("alice");
        let literal = std::panic::catch_unwind(|| panic!("it broke")).unwrap_err();
        assert_eq!(panic_message(&*literal), "it broke");
        let formatted = std::panic::catch_unwind(|| panic!("{name} broke it")).unwrap_err();
        assert!(!panic_message(&*formatted).contains("alice"));
    }
}
