//! Restores: staged beside the live data, counted, exchanged, undone.

pub mod bench;
mod bucket;
mod exchange;
mod faults;
mod history;
mod interrupted;
mod refusals;
mod room;
mod serving;
mod versions;
