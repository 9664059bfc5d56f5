//! What comes of one reconcile of one resource.

use std::time::Duration;

use crate::{error::Error, object::key::Key};

/// A namespace that is being deleted is looked at again after this time.
const TERMINATING: Duration = Duration::from_secs(15);

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

    /// What an error leads to, which is logged.
    #[must_use]
    pub fn of_error(key: &Key, error: &Error) -> Self {
        let (namespace, name) = (&*key.namespace, &*key.name);
        if error.is_terminating_namespace() {
            tracing::debug!(namespace, name, "the namespace is being deleted");
            return Self::after(TERMINATING, "terminating");
        }
        let class = error.class();
        tracing::warn!(namespace, name, class = class.as_str(), %error, "reconcile failed");
        let (shortest, longest) = class.delays();
        let requested = error.retry_after().unwrap_or_default();
        let shortest = shortest.max(requested);
        Self::failed((shortest, longest.max(shortest)), class.as_str())
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
