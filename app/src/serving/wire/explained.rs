//! Gives a body to the responses that hyper sends by itself when it cannot read the head of a
//! request. hyper offers no way to change them, so they are recognised where they are written: no
//! handler answers with these statuses and no body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A response as handlers make it.
type Response = http::Response<Bytes>;

/// Why the head of a request cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableHead {
    /// It is not sound HTTP/1.1.
    Malformed,
    /// It is over the size limit.
    TooLarge,
}

/// Makes the response whose headers and body a refusal gets; its status does not count.
pub type ExplainUnreadable = fn(UnreadableHead) -> Response;

/// The status lines of hyper's own refusals.
const REFUSALS: [(&[u8], UnreadableHead); 2] = [
    (b"HTTP/1.1 400 Bad Request\r\n", UnreadableHead::Malformed),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        UnreadableHead::TooLarge,
    ),
];
const NO_BODY: &str = "content-length: 0\r\n";

/// A connection on which every refusal has a body.
#[derive(Debug)]
pub struct Explained<S> {
    stream: S,
    explain: ExplainUnreadable,
    /// What replaces the last refusal, and how many bytes of it are written.
    pending: Option<(Vec<u8>, usize)>,
}

impl<S> Explained<S> {
    /// Inspects what is written to `stream`.
    pub fn new(stream: S, explain: ExplainUnreadable) -> Self {
        Self {
            stream,
            explain,
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
        match explained(bytes, self.explain) {
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

/// The response to send instead, when `bytes` are a refusal without a body.
fn explained(bytes: &[u8], explain: ExplainUnreadable) -> Option<Vec<u8>> {
    // Nearly all responses end here.
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let (_, reason) = REFUSALS
        .into_iter()
        .find(|(line, _)| bytes.starts_with(line))?;
    let head = std::str::from_utf8(bytes).ok()?;
    let (before, behind) = head.split_once(NO_BODY)?;
    let response = explain(reason);
    let mut answer = before.as_bytes().to_vec();
    for (name, value) in response.headers() {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let length = response.body().len();
    answer.extend(format!("content-length: {length}\r\n{behind}").bytes());
    answer.extend(response.body());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\
                       date: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n";

    fn explain(reason: UnreadableHead) -> Response {
        let mut response = Response::new(format!("{reason:?}").into());
        let content_type = http::HeaderValue::from_static("text/x");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, content_type);
        response
    }

    /// The bytes on the wire when `text` is written, through a pipe that takes a few at a time.
    async fn written(text: &str) -> String {
        let (near, mut far) = tokio::io::duplex(7);
        let writing = async {
            let mut explained = Explained::new(near, explain);
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
        assert!(head.contains("\r\ncontent-type: text/x\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-length: 9\r\n"), "{head}");
        assert_eq!(body, "Malformed");
    }

    #[tokio::test]
    async fn all_other_responses_are_unchanged() {
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
