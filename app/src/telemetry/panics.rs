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

    #[test]
    fn only_literal_messages_are_shown() {
        let name = String::from("alice");
        let literal = std::panic::catch_unwind(|| panic!("it broke")).unwrap_err();
        assert_eq!(panic_message(&*literal), "it broke");
        let formatted = std::panic::catch_unwind(|| panic!("{name} broke it")).unwrap_err();
        assert!(!panic_message(&*formatted).contains("alice"));
    }
}
