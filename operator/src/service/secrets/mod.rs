//! Credentials and certificates: pure, with the time passed in.

use std::time::Duration;

/// Time within which a kubelet that works gives the new content of a Secret to its pods: it reads once a minute, from a copy
/// that is a minute old at most. Whoever waits for pods builds on it.
pub const KUBELET: Duration = Duration::from_secs(120);

pub mod address;
pub mod certificates;
pub mod credentials;
pub mod given;
