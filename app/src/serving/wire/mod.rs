//! What hyper leaves open on an HTTP/1 connection: requests of ambiguous length, and refusals
//! without a body.

mod explained;
mod framing;
mod head_due;

use tokio::io::{AsyncRead, AsyncWrite};

pub use explained::{ExplainUnreadable, UnreadableHead};
#[cfg(any(test, fuzzing))]
pub use framing::{FramingGuard, Scanner};
pub use head_due::HeadDue;

use explained::Explained;
#[cfg(not(any(test, fuzzing)))]
use framing::FramingGuard;

/// `stream` as hyper is to see it, and whether the client owes the rest of a head.
pub fn guard<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    explain: ExplainUnreadable,
) -> (impl AsyncRead + AsyncWrite + Unpin, HeadDue) {
    let head_due = HeadDue::default();
    let guard = FramingGuard::new(Explained::new(stream, explain), head_due.clone());
    (guard, head_due)
}
