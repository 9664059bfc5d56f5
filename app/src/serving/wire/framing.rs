//! Refuses HTTP/1 requests of ambiguous length: with two `Content-Length` headers, or one together
//! with `Transfer-Encoding`. hyper accepts them and picks one length; a proxy in front may pick the
//! other, and then a request can be smuggled past it. After hyper has read a head, the second header
//! is gone, so the bytes have to be inspected before.
//!
//! To find the next head, [`FramingGuard`] follows the bodies, too. It must see their ends where hyper sees them, so it
//! knows one way to write a body and refuses all others, also some that hyper would take. It holds no byte back: the first
//! that it refuses becomes NUL, which hyper accepts in no head, and hyper sees none of those behind it. Then hyper answers
//! 400 and closes the connection. `serving::fuzzing` compares the two.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head_due::HeadDue;

/// A connection whose incoming requests are inspected.
#[derive(Debug)]
pub struct FramingGuard<S> {
    stream: S,
    scanner: Scanner,
    /// Whether hyper has seen the end of what was refused.
    ended: bool,
    head_due: HeadDue,
}

impl<S> FramingGuard<S> {
    /// Inspects `stream` from its first byte on.
    pub fn new(stream: S, head_due: HeadDue) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            ended: false,
            head_due,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.scanner.has_refused() {
            // hyper judges no head before it sees its end. Then the stream ends.
            if buffer.remaining() >= END.len() && !std::mem::replace(&mut self.ended, true) {
                buffer.put_slice(END);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = outcome {
            let seen = self.scanner.inspect(&mut buffer.filled_mut()[before..]);
            buffer.set_filled(before + seen);
            self.head_due.set(self.scanner.head_is_due());
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

/// The end of a head, and never that of a body.
const END: &[u8] = b"\n\n";

/// Follows the requests of one connection, in pieces of any size.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    /// The `Content-Length` of the current head.
    length: Option<u64>,
    /// Whether the current head has a `Transfer-Encoding`.
    chunked: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The start of the connection, or HTTP/2's preface of which this many bytes match.
    Preface(usize),
    /// The start of a request, or an empty line before it.
    RequestStart,
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
    /// The size of a chunk, once it has a digit.
    ChunkSize(Option<u64>),
    ChunkExtension(u64),
    ChunkData(u64),
    TrailerStart,
    TrailerLine,
    /// A carriage return, with which a line of a body ends, and its line feed.
    CarriageReturn(Then),
    LineFeed(Then),
    /// Nothing more is inspected.
    Http2,
    /// Nothing more is passed on.
    Refused,
}

impl Default for State {
    fn default() -> Self {
        Self::Preface(0)
    }
}

/// What follows a line of a chunked body.
#[derive(Debug, Clone, Copy)]
enum Then {
    Chunk(u64),
    NextSize,
    Trailer,
    Request,
}

/// Begins HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So much of it could begin a request line of HTTP/1.
const PREFACE_LINE: usize = 14;

impl Scanner {
    /// Follows `bytes`, and refuses the first that makes a length ambiguous. How many of them hyper may see: up to the
    /// refused one, which is overwritten.
    pub fn inspect(&mut self, bytes: &mut [u8]) -> usize {
        let mut seen = 0;
        while seen < bytes.len() {
            let rest = &mut bytes[seen..];
            seen += match self.state {
                State::Http2 => rest.len(),
                State::Refused => break,
                State::RestOfLine => self.skip_line(rest),
                State::TrailerLine => self.skip_trailer(rest),
                State::Body(left) => self.skip(rest, left, State::Body, State::RequestStart),
                State::ChunkData(left) => {
                    let then = State::CarriageReturn(Then::NextSize);
                    self.skip(rest, left, State::ChunkData, then)
                }
                _ => {
                    self.step(&mut rest[0]);
                    1
                }
            };
        }
        seen
    }

    /// Whether a byte was refused.
    pub fn has_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// Whether a head, or the first one, is not complete yet.
    pub fn head_is_due(&self) -> bool {
        matches!(
            self.state,
            State::Preface(_)
                | State::RestOfLine
                | State::LineStart
                | State::Name { .. }
                | State::LengthValue { .. }
                | State::EncodingValue { .. }
        )
    }

    /// Whether the next byte begins a request.
    #[cfg(any(test, fuzzing))]
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Preface(0) | State::RequestStart)
    }

    /// Whether the next byte is a body's own.
    #[cfg(any(test, fuzzing))]
    pub fn is_in_body(&self) -> bool {
        matches!(self.state, State::Body(_) | State::ChunkData(_))
    }

    /// Skips a line of a head.
    fn skip_line(&mut self, bytes: &[u8]) -> usize {
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.state = State::LineStart;
                end + 1
            }
            None => bytes.len(),
        }
    }

    /// Skips a line behind a chunked body. hyper takes a line feed alone for a part of it.
    fn skip_trailer(&mut self, bytes: &mut [u8]) -> usize {
        let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else {
            return bytes.len();
        };
        self.state = match bytes[end] {
            b'\r' => State::LineFeed(Then::Trailer),
            _ => refuse(&mut bytes[end]),
        };
        end + 1
    }

    /// Skips `left` bytes, or as many as there are.
    fn skip(&mut self, bytes: &[u8], left: u64, more: fn(u64) -> State, then: State) -> usize {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - count as u64;
        self.state = if left > 0 { more(left) } else { then };
        count
    }

    fn step(&mut self, byte: &mut u8) {
        self.state = match (self.state, *byte) {
            (State::Preface(matched), found) if found == PREFACE[matched] => {
                if matched + 1 == PREFACE.len() {
                    State::Http2
                } else {
                    State::Preface(matched + 1)
                }
            }
            // hyper skips empty lines before a request.
            (State::Preface(0) | State::RequestStart, b'\r' | b'\n') => State::RequestStart,
            (State::Preface(1..PREFACE_LINE), b'\n') => State::LineStart,
            (State::Preface(0..PREFACE_LINE) | State::RequestStart, _) => State::RestOfLine,
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
            _ => chunked(self.state, byte),
        };
    }

    fn name(&mut self, name: &'static [u8], matched: usize, byte: &mut u8) -> State {
        match (name.get(matched), *byte) {
            (Some(expected), found) if *expected == found.to_ascii_lowercase() => State::Name {
                name,
                matched: matched + 1,
            },
            (None, b':') if self.length.is_some() || self.chunked => refuse(byte),
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
            _ => refuse(byte),
        }
    }

    fn end_of_head(&mut self) -> State {
        let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
        match length {
            _ if chunked => State::ChunkSize(None),
            Some(length) if length > 0 => State::Body(length),
            _ => State::RequestStart,
        }
    }
}

/// Makes what hyper sees unreadable.
fn refuse(byte: &mut u8) -> State {
    *byte = 0;
    State::Refused
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
        _ => refuse(byte),
    }
}

/// What is around the data of a chunked body. Its lines end with both bytes, never with a line feed alone.
fn chunked(state: State, byte: &mut u8) -> State {
    match (state, *byte) {
        (State::ChunkSize(size), digit) if digit.is_ascii_hexdigit() => {
            let digit = char::from(digit).to_digit(16).map_or(0, u64::from);
            match size.unwrap_or(0).checked_mul(16) {
                Some(size) => State::ChunkSize(Some(size + digit)),
                None => refuse(byte),
            }
        }
        (State::ChunkSize(Some(size)) | State::ChunkExtension(size), b'\r') => {
            State::LineFeed(Then::Chunk(size))
        }
        (State::ChunkSize(Some(size)), b' ' | b'\t' | b';') => State::ChunkExtension(size),
        (State::ChunkExtension(size), other) if other != b'\n' => State::ChunkExtension(size),
        (State::CarriageReturn(then), b'\r') => State::LineFeed(then),
        (State::LineFeed(then), b'\n') => match then {
            Then::Chunk(0) | Then::Trailer => State::TrailerStart,
            Then::Chunk(size) => State::ChunkData(size),
            Then::NextSize => State::ChunkSize(None),
            Then::Request => State::RequestStart,
        },
        (State::TrailerStart, b'\r') => State::LineFeed(Then::Request),
        (State::TrailerStart, other) if other != b'\n' => State::TrailerLine,
        _ => refuse(byte),
    }
}

#[cfg(test)]
mod tests;
