//! The frame around every scenario, and what scenarios create on the cluster beside the service.

pub mod documented;
pub mod jobs;
pub mod results;
mod run;
pub mod script;
pub mod visitor;

pub use results::skip;
pub use run::{LABEL, Scenario, run, run_longer};
