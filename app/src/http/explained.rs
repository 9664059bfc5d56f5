//! Gives a body to the answers that hyper sends on its own, to requests whose head cannot be read.
//! hyper offers no way to change them, so they are recognised where they are written: they are
//! the only refusals without a body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Problem, ProblemKind};

/// The status lines that hyper's own refusals begin with.
const REFUSALS: [(&[u8], ProblemKind); 2] = [
    (
        b"HTTP/1.1 400 Bad Request\r\n",
        ProblemKind::MalformedRequest,
    ),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        ProblemKind::HeadTooLarge,
    ),
];
const NO_BODY: &str = "content-length: 0\r\n";

/// A connection whose refusals all have a body.
#[derive(Debug)]
pub struct Explained<S> {
    stream: S,
    /// What stands in for the last refusal, and how much of it is written.
    pending: Option<(Vec<u8>, usize)>,
}

impl<S> Explained<S> {
    /// Watches what is written to `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            pending: None,
        }
    }
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((answer, written)) = &mut self.pending {
            let rest = &answer[*written..];
            if rest.is_empty() {
                self.pending = None;
                break;
            }
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        match explain(bytes) {
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
            Some(answer) => {
                // Written when hyper flushes, which it does before it closes the connection.
                self.pending = Some((answer, 0));
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(context, only),
            _ => {
                ready!(self.poll_pending(context))?;
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The answer to send instead, when `bytes` are a refusal without a body.
fn explain(bytes: &[u8]) -> Option<Vec<u8>> {
    // Nearly all answers end here.
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let (_, kind) = REFUSALS
        .into_iter()
        .find(|(line, _)| bytes.starts_with(line))?;
    let head = std::str::from_utf8(bytes).ok()?;
    let (before, behind) = head.split_once(NO_BODY)?;
    let body = Problem::new(kind).into_response().into_body();
    let length = body.len();
    let mut answer = format!(
        "{before}content-type: application/problem+json\r\ncontent-length: {length}\r\n{behind}"
    )
    .into_bytes();
    answer.extend(body);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\
                       date: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n";

    /// What comes out when `text` is written, through a pipe that takes a few bytes at a time.
    async fn written(text: &str) -> String {
        let (near, mut far) = tokio::io::duplex(7);
        let writing = async {
            let mut explained = Explained::new(near);
            explained.write_all(text.as_bytes()).await.unwrap();
            explained.flush().await.unwrap();
            explained.shutdown().await.unwrap();
        };
        let mut read = String::new();
        let (_, outcome) = tokio::join!(writing, far.read_to_string(&mut read));
        outcome.unwrap();
        read
    }

    #[tokio::test]
    async fn refusals_without_a_body_get_one() {
        let answer = written(OWN).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"));
        assert!(head.ends_with("GMT"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"));
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["type"], "/problems/malformed-request");
    }

    #[tokio::test]
    async fn everything_else_passes_untouched() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(written(text).await, text);
        }
    }
}
