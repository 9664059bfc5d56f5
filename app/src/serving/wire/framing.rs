//! Refuses HTTP/1 requests of ambiguous length: with two `Content-Length` headers, or one together
//! with `Transfer-Encoding`. hyper accepts them and picks one length; a proxy in front may pick the
//! other, and then a request can be smuggled past it. After hyper has read a head, the second header
//! is gone, so the bytes have to be inspected before.
//!
//! [`FramingGuard`] inspects the bytes that a client sends. It holds none back: where a head becomes
//! ambiguous, it overwrites the byte with NUL, which no header may contain. Then hyper answers 400
//! and closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose incoming requests are inspected.
#[derive(Debug)]
pub struct FramingGuard<S> {
    stream: S,
    scanner: Scanner,
}

impl<S> FramingGuard<S> {
    /// Inspects `stream` from its first byte on.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = outcome {
            self.scanner.inspect(&mut buffer.filled_mut()[before..]);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FramingGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const CHUNKED: &[u8] = b"chunked";

/// Follows the requests of one connection, in pieces of any size.
#[derive(Debug, Default)]
struct Scanner {
    state: State,
    /// The `Content-Length` of the current head.
    length: Option<u64>,
    /// Whether the current head has a `Transfer-Encoding`.
    chunked: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// The start of a request.
    #[default]
    RequestStart,
    /// A request line that begins with this many bytes of HTTP/2's preface.
    Preface(usize),
    /// The rest of a line that does not concern the length.
    RestOfLine,
    /// The start of a header.
    LineStart,
    /// The name of a header, of which this many bytes match.
    Name {
        name: &'static [u8],
        matched: usize,
    },
    LengthValue {
        digits: u32,
    },
    EncodingValue {
        matched: usize,
    },
    Body(u64),
    ChunkSize(u64),
    ChunkExtension(u64),
    ChunkData(u64),
    /// The end of the line after a chunk's data.
    ChunkEnd,
    TrailerStart,
    TrailerLine,
    /// Not HTTP/1, or refused: nothing more is inspected.
    Opaque,
}

/// Begins HTTP/2. As the request line of HTTP/1, hyper refuses it for its version.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Scanner {
    /// Follows `bytes`, and rejects a head where it becomes ambiguous.
    fn inspect(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Opaque => return,
                State::RestOfLine => self.skip_line(rest, State::LineStart),
                State::TrailerLine => self.skip_line(rest, State::TrailerStart),
                State::Body(left) => self.skip(rest, left, State::Body, State::RequestStart),
                State::ChunkData(left) => self.skip(rest, left, State::ChunkData, State::ChunkEnd),
                _ => {
                    self.step(&mut rest[0]);
                    &mut rest[1..]
                }
            };
        }
    }

    /// Skips to the byte after the next line feed.
    fn skip_line<'a>(&mut self, bytes: &'a mut [u8], then: State) -> &'a mut [u8] {
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.state = then;
                &mut bytes[end + 1..]
            }
            None => &mut [],
        }
    }

    /// Skips `left` bytes, or as many as there are.
    fn skip<'a>(
        &mut self,
        bytes: &'a mut [u8],
        left: u64,
        more: fn(u64) -> State,
        then: State,
    ) -> &'a mut [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - count as u64;
        self.state = if left > 0 { more(left) } else { then };
        &mut bytes[count..]
    }

    fn step(&mut self, byte: &mut u8) {
        self.state = match (self.state, *byte) {
            // hyper skips empty lines before a request.
            (State::RequestStart, b'\r' | b'\n') => State::RequestStart,
            (State::RequestStart, b'P') => State::Preface(1),
            (State::Preface(matched), byte) if byte == PREFACE[matched] => {
                if matched + 1 == PREFACE.len() {
                    State::Opaque
                } else {
                    State::Preface(matched + 1)
                }
            }
            (State::Preface(_), b'\n') => State::LineStart,
            (State::RequestStart | State::Preface(_), _) => State::RestOfLine,
            (State::LineStart, b'c' | b'C') => State::Name {
                name: CONTENT_LENGTH,
                matched: 1,
            },
            (State::LineStart, b't' | b'T') => State::Name {
                name: TRANSFER_ENCODING,
                matched: 1,
            },
            (State::LineStart, b'\r') => State::LineStart,
            (State::LineStart, b'\n') => self.end_of_head(),
            (State::LineStart, _) => State::RestOfLine,
            (State::Name { name, matched }, _) => self.name(name, matched, byte),
            (State::LengthValue { digits }, _) => self.length_value(digits, byte),
            (State::EncodingValue { matched }, _) => encoding_value(matched, byte),
            (State::ChunkSize(size), _) => chunk_size(size, *byte),
            (State::ChunkExtension(size), b'\n') => after_chunk_size(size),
            (State::ChunkEnd, b'\n') => State::ChunkSize(0),
            (State::TrailerStart, b'\n') => State::RequestStart,
            (State::TrailerStart, byte) if byte != b'\r' => State::TrailerLine,
            (state, _) => state,
        };
    }

    fn name(&mut self, name: &'static [u8], matched: usize, byte: &mut u8) -> State {
        match (name.get(matched), *byte) {
            (Some(expected), found) if *expected == found.to_ascii_lowercase() => State::Name {
                name,
                matched: matched + 1,
            },
            (None, b':') if self.length.is_some() || self.chunked => reject(byte),
            (None, b':') if name == CONTENT_LENGTH => {
                self.length = Some(0);
                State::LengthValue { digits: 0 }
            }
            (None, b':') => {
                self.chunked = true;
                State::EncodingValue { matched: 0 }
            }
            (_, b'\n') => State::LineStart,
            _ => State::RestOfLine,
        }
    }

    /// Digits, with blanks around them; with anything else the length is ambiguous.
    fn length_value(&mut self, digits: u32, byte: &mut u8) -> State {
        // More than any body needs, and few enough not to overflow.
        const MOST: u32 = 18;
        match *byte {
            digit @ b'0'..=b'9' if digits < MOST => {
                let length = self.length.unwrap_or(0);
                self.length = Some(length * 10 + u64::from(digit - b'0'));
                State::LengthValue { digits: digits + 1 }
            }
            b' ' | b'\t' if digits == 0 => State::LengthValue { digits },
            // Only the end of the line may follow.
            b' ' | b'\t' | b'\r' if digits > 0 => State::LengthValue { digits: MOST },
            b'\n' if digits > 0 => State::LineStart,
            _ => reject(byte),
        }
    }

    fn end_of_head(&mut self) -> State {
        let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
        match length {
            _ if chunked => State::ChunkSize(0),
            Some(length) if length > 0 => State::Body(length),
            _ => State::RequestStart,
        }
    }
}

/// Makes the head unreadable.
fn reject(byte: &mut u8) -> State {
    *byte = 0;
    State::Opaque
}

/// Exactly `chunked`. hyper also accepts a list that ends with it, and passes the body on encoded.
fn encoding_value(matched: usize, byte: &mut u8) -> State {
    match (CHUNKED.get(matched), *byte) {
        (Some(expected), found) if *expected == found.to_ascii_lowercase() => {
            State::EncodingValue {
                matched: matched + 1,
            }
        }
        (_, b' ' | b'\t') if matched == 0 => State::EncodingValue { matched },
        (None, b' ' | b'\t' | b'\r') => State::EncodingValue { matched },
        (None, b'\n') => State::LineStart,
        _ => reject(byte),
    }
}

fn chunk_size(size: u64, byte: u8) -> State {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) => match size.checked_mul(16) {
            Some(size) => State::ChunkSize(size + u64::from(digit)),
            None => State::Opaque,
        },
        (None, b'\n') => after_chunk_size(size),
        (None, _) => State::ChunkExtension(size),
    }
}

fn after_chunk_size(size: u64) -> State {
    if size == 0 {
        State::TrailerStart
    } else {
        State::ChunkData(size)
    }
}

#[cfg(test)]
mod tests;
