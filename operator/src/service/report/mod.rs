//! Step 5: the status and the events, computed from what was applied.
//!
//! A file for each component makes a [`finding::Finding`]; [`status`] orders them; [`conditions`] gives them their times;
//! [`write`] writes the result and publishes what changed.

mod app;
mod autoscaler;
mod backup;
mod bootstrap;
pub mod conditions;
mod data;
mod database;
pub mod delay;
mod deletion;
pub mod events;
mod finding;
mod hindrance;
mod migration;
pub mod pod_failure;
pub mod reason;
pub mod status;
pub mod subject;
mod upgrade;
mod volume;
mod volume_fullness;
pub mod write;

#[cfg(test)]
mod tests;
