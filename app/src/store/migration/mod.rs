//! What all that changes the schema has in common: one lock, and sessions that wait as long as it takes.

pub mod lock;
pub mod session;
