//! Whether a client owes the rest of a head, or its first one: what its connection waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a client owes the rest of a head, or its first one.
#[derive(Debug, Clone)]
pub struct HeadDue(Arc<AtomicBool>);

impl Default for HeadDue {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl HeadDue {
    /// What was seen last.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes what was seen.
    pub fn set(&self, due: bool) {
        self.0.store(due, Ordering::Relaxed);
    }
}
