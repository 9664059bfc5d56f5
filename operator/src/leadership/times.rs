//! The times of a lease, which the argument in [`crate::leadership`] depends on.

use std::time::Duration;

use crate::kubernetes::connection::UNACKNOWLEDGED;

/// For how long no other process takes over after a renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long the holder writes after a renewal.
pub const WRITES: Duration = Duration::from_secs(11);
/// When the kernel kills a holder that has not stopped by itself.
pub const KILL: Duration = Duration::from_secs(13);
const _: () = assert!(WRITES.as_secs() < KILL.as_secs());
const _: () = assert!(KILL.as_secs() + UNACKNOWLEDGED.as_secs() <= LEASE.as_secs());

/// How often the holder renews.
pub const RENEW: Duration = Duration::from_secs(5);
/// How often a holder tries again whose renewal failed.
pub const RETRY: Duration = Duration::from_millis(500);
/// How often a candidate checks whether the lease was given up; client-go's candidates do it as often.
pub const CHECK: Duration = Duration::from_secs(2);
/// Longest time one call may take; several fit into the lease.
pub const CALL: Duration = Duration::from_secs(3);
