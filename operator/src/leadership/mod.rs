//! One writer among several operators.

pub mod lease;
pub mod watchdog;
