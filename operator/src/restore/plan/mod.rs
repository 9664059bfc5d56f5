//! Step 4: the decision, as data. Nothing is read or written here.
//!
//! [`planner`] decides from facts; [`step`] names the steps and how far their Jobs are, [`turn`] which restore comes first.

pub mod planner;
pub mod step;
pub mod turn;
