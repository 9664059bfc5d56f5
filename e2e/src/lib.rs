//! What the end-to-end scenarios share: access to the cluster, waiting with a reason, a load client that keeps a history,
//! and the dump that explains a failure.
//!
//! The scenarios themselves are in `tests/scenarios`; `e2e/run` brings the cluster up and runs them.

pub mod audit;
pub mod cluster;
pub mod command;
mod dump;
pub mod greeting;
pub mod hello;
pub mod history;
pub mod http;
pub mod load;
pub mod manifests;
pub mod markdown;
pub mod outage;
pub mod psql;
pub mod report;
pub mod scenario;
pub mod timeline;
pub mod visitor;
pub mod wait;

pub use anyhow::{Context, Result, bail, ensure};
pub use cluster::Cluster;
pub use hello::Hello;
pub use scenario::{Scenario, alone, last, with_namespace};
pub use wait::Seen;
