//! Credentials and certificates: pure, with the time passed in.

pub mod address;
pub mod certificates;
pub mod credentials;
pub mod given;
