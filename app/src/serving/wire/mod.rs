//! What hyper leaves open on an HTTP/1 connection: requests of ambiguous length, and refusals
//! without a body.

mod explained;
mod framing;

use tokio::io::{AsyncRead, AsyncWrite};

pub use explained::{ExplainUnreadable, UnreadableHead};

use explained::Explained;
use framing::FramingGuard;

/// `stream` as hyper is to see it.
pub fn guard<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    explain: ExplainUnreadable,
) -> impl AsyncRead + AsyncWrite + Unpin {
    FramingGuard::new(Explained::new(stream, explain))
}
