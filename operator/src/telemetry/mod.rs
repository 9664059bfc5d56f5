//! What people and machines see of the operator itself.

pub mod condition_gauges;
pub mod metrics;
pub mod probes;
