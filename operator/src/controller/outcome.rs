//! What comes of one reconcile of one resource.

use std::time::Duration;

/// What to do with a resource after a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again after this time, or when triggered.
    After(Duration),
    /// It failed: look again after a delay that grows from the first to the second.
    Failed(Duration, Duration),
    /// It is gone.
    Forget,
}

/// What came of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again.
    pub next: Next,
    /// Value of the metric's label.
    pub label: &'static str,
}

impl Outcome {
    /// Look again after this time at the latest.
    #[must_use]
    pub const fn after(time: Duration, label: &'static str) -> Self {
        Self {
            next: Next::After(time),
            label,
        }
    }

    /// Try again after a delay that grows from the first to the second.
    #[must_use]
    pub const fn failed((shortest, longest): (Duration, Duration), label: &'static str) -> Self {
        Self {
            next: Next::Failed(shortest, longest),
            label,
        }
    }

    /// The resource is gone.
    #[must_use]
    pub const fn gone() -> Self {
        Self {
            next: Next::Forget,
            label: "gone",
        }
    }
}
