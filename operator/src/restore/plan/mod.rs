//! Step 4: the decision, as data. Nothing is read or written here.
//!
//! [`planner`] decides from facts; [`step`] names the steps and how far their Jobs are.

pub mod planner;
pub mod step;
