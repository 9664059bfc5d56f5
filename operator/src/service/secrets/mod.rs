//! Credentials and certificates: pure, with the time passed in.

pub mod certificates;
pub mod credentials;
