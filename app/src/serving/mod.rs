//! Connections: accepting them, TLS, the bytes of HTTP, and draining. Knows no route.

mod accept;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod memory;
mod message;
mod seats;
mod tls;
mod wire;

pub use accept::{ConnectionLimits, Listener};
pub use connection::Timeouts;
pub use memory::{MemoryShares, limit_of_control_group};
pub use message::{RequestHead, Response, without_body};
pub use tls::{Tls, TlsError, TlsFiles};
pub use wire::UnreadableHead;
