//! What the end-to-end scenarios share. Each folder uses only those above it:
//!
//! - `cluster`: the cluster under test, its audit log, waiting with a reason, and the dump that explains a failure
//! - `scenario`: the frame around a scenario, and the pods and jobs that it creates
//! - `service`: a `HelloService` under test, its API and its database
//! - `load`: clients that keep a history, and what a run of them shows
//!
//! The scenarios themselves are in `tests/scenarios`; `e2e/run` brings the cluster up and runs them.

pub mod cluster;
pub mod load;
pub mod markdown;
pub mod scenario;
pub mod service;

pub use anyhow::{Context, Result, bail, ensure};
pub use cluster::Cluster;
pub use cluster::wait::Seen;
pub use scenario::Scenario;
pub use service::Hello;
