//! What the operator reports about itself: log, metrics, probes. Knows no resource beyond the types of its conditions.

pub mod access;
pub mod condition_gauges;
mod listener;
pub mod logging;
pub mod metrics;
pub mod probes;
pub mod restore_gauges;
