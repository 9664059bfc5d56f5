//! One writer among several operators.
//!
//! # Why two processes never write at once
//!
//! A [`lease`] in the operator's namespace names the holder. All times below count from the moment *before* the holder
//! sent its last successful renewal, by its own monotonic clock. A candidate takes over only when it has itself watched
//! the record stay the same for the whole lease of 15 s, by its own monotonic clock. That interval starts later than the
//! holder's, because the candidate can see a renewal only after it was sent. So no other process writes before 15 s, whatever
//! the clocks of the nodes show, and the holder must have stopped by then:
//!
//! A Lease that does not exist, or that nobody has held since it was created, may have been deleted under a holder, and
//! shows nothing to watch. Whoever finds it takes it at once, so that all others see a holder, and writes only a whole lease
//! later: what holds for a candidate that watches a record holds for it, too. That delay is paid once, by the first
//! operator of a cluster.
//!
//! 1. At 11 s the fence closes (`crate::kubernetes::fence`). It is part of the client through which every write goes. A
//!    write is not sent once it is closed, and is given up when it closes before the answer. At every wake-up the clock is
//!    checked before the request goes on.
//! 2. At 13 s the kernel kills a process that has not confirmed that no write is in progress ([`watchdog`]), also while
//!    it is stopped (SIGSTOP, a frozen container): a check before sending does not help a process that is stopped
//!    between the check and the send. No write begins and no byte leaves the process after that.
//! 3. At 15 s at the latest the kernel has given up a connection on which bytes wait for their acknowledgement
//!    (`crate::kubernetes::connection`). Bytes that left in time are not delivered late, for example by a network that was
//!    cut.
//! 4. Each write carries a limit for the API server (`timeout`, until the fence closes). A write that waits for a webhook
//!    ends there, also when no process is left to cancel it.
//!
//! Two risks remain: an API server that holds a received write for seconds before it begins with it, and clocks whose
//! speeds differ by more than a tenth.

mod candidate;
pub mod lease;
pub mod times;
pub mod watchdog;
