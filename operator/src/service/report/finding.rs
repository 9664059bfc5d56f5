//! A finding about one component, before it becomes a condition.

use crate::service::report::reason::Reason;

/// Whether something holds, why, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the condition is `True`.
    pub holds: bool,
    /// Machine-readable reason.
    pub reason: Reason,
    /// Message for people.
    pub message: String,
}

/// It holds, with the message of the reason.
pub fn yes(reason: Reason) -> Finding {
    Finding {
        holds: true,
        reason,
        message: reason.text().to_owned(),
    }
}

/// It does not hold, with the message of the reason.
pub fn no(reason: Reason) -> Finding {
    Finding {
        holds: false,
        ..yes(reason)
    }
}

impl Finding {
    /// The same with a more exact message.
    pub fn with(self, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }

    /// The same reason and message for another condition.
    pub fn repeated(&self, holds: bool) -> Self {
        Self {
            holds,
            ..self.clone()
        }
    }
}
