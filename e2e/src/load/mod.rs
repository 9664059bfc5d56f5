//! Load on a service, and the outcome of each request.

mod client;
pub mod history;
pub mod outage;
pub mod report;

pub use client::Load;
pub use report::{Kind, Report};
