//! The cluster under test, seen from outside.

pub mod audit;
pub mod command;
mod connection;
pub mod dump;
pub mod pods;
pub mod wait;

pub use connection::{Cluster, OPERATOR, OPERATOR_NAMESPACE};
