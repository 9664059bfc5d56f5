//! Refuses HTTP/1 requests whose length is ambiguous: with two `Content-Length` headers, or one
//! beside `Transfer-Encoding`. hyper picks one reading silently; a proxy in front may pick the
//! other, and then a request can be smuggled past it.
//!
//! [`FramingGuard`] watches the bytes that a client sends. It never holds any back: where a head
//! becomes ambiguous, it overwrites the byte at hand with NUL, which no header may hold, so that
//! hyper itself answers 400 and closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose incoming requests are watched.
#[derive(Debug)]
pub struct FramingGuard<S> {
    stream: S,
    scanner: Scanner,
}

impl<S> FramingGuard<S> {
    /// Watches `stream` from its first byte on.
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

/// Follows the requests of one connection, wherever the pieces they come in are cut.
#[derive(Debug, Default)]
struct Scanner {
    state: State,
    /// What the head that is being read says about its body.
    length: Option<u64>,
    chunked: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// The start of a request.
    #[default]
    RequestStart,
    /// A request line beginning with this many bytes of HTTP/2's preface.
    Preface(usize),
    /// The rest of a line that says nothing about the length.
    RestOfLine,
    /// The start of a header.
    LineStart,
    /// The name of a header that has matched so far.
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
    /// The line end behind a chunk's data.
    ChunkEnd,
    TrailerStart,
    TrailerLine,
    /// Not HTTP/1, or beyond repair: hyper decides alone.
    Opaque,
}

/// Begins HTTP/2; as the first line of an HTTP/1 request, hyper refuses it for its version.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Scanner {
    /// Follows `bytes`, and spoils them where a head becomes ambiguous.
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

    /// Skips to behind the next line feed.
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
            // Empty lines before a request do not count.
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
            (None, b':') if self.length.is_some() || self.chunked => spoil(byte),
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

    /// Digits, with blanks around them; everything else would leave the length in doubt.
    fn length_value(&mut self, digits: u32, byte: &mut u8) -> State {
        // More digits than any body needs, and few enough not to overflow.
        const MOST: u32 = 18;
        match *byte {
            digit @ b'0'..=b'9' if digits < MOST => {
                let length = self.length.unwrap_or(0);
                self.length = Some(length * 10 + u64::from(digit - b'0'));
                State::LengthValue { digits: digits + 1 }
            }
            b' ' | b'\t' if digits == 0 => State::LengthValue { digits },
            // Nothing but the end of the line may follow.
            b' ' | b'\t' | b'\r' if digits > 0 => State::LengthValue { digits: MOST },
            b'\n' if digits > 0 => State::LineStart,
            _ => spoil(byte),
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

/// Makes the head one that cannot be read.
fn spoil(byte: &mut u8) -> State {
    *byte = 0;
    State::Opaque
}

/// Exactly `chunked`, the only encoding there is a need for.
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
        _ => spoil(byte),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOUND: [&str; 6] = [
        "GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n",
        "\r\nPUT /p HTTP/1.1\ncontent-type: a\nContent-Length: 5\n\nhello",
        "POST /p HTTP/1.1\r\ncontent-length:  0 \r\ntrailer: c\r\n\r\n",
        "PUT /p HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
        "PUT /p HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\nA\r\n0123456789\r\n0\r\nt: c\r\n\r\n",
        "PUT /p HTTP/1.1\r\ncontent-length: 40\r\n\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n..",
    ];

    const AMBIGUOUS: [&str; 8] = [
        "PUT /p HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        "PUT /p HTTP/1.1\r\ncontent-length: 1\r\nx: y\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT /p HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 1\r\n\r\n",
        "PUT /p HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "PUT /p HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "PUT /p HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\nx",
        "PUT /p HTTP/1.1\r\ncontent-length: 1 1\r\n\r\nx",
        "PUT /p HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\nx",
    ];

    /// What comes out of a guard for `text` in pieces that end at `cuts`.
    fn through(text: &str, cuts: &[usize]) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        let mut scanner = Scanner::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            scanner.inspect(&mut bytes[piece[0]..piece[1]]);
        }
        bytes
    }

    #[test]
    fn http2_is_left_alone() {
        let text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ncontent-length: 1\r\ncontent-length: 1\r\n";
        assert_eq!(through(text, &[]), text.as_bytes());
    }

    proptest! {
        #[test]
        fn sound_requests_pass_untouched(
            picks in prop::collection::vec(0..SOUND.len(), 1..6),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let text: String = picks.iter().map(|pick| SOUND[*pick]).collect();
            prop_assert_eq!(through(&text, &cuts), text.as_bytes());
        }

        #[test]
        fn ambiguous_requests_are_spoiled_wherever_they_come(
            picks in prop::collection::vec(0..SOUND.len(), 0..4),
            wrong in 0..AMBIGUOUS.len(),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let sound: String = picks.iter().map(|pick| SOUND[*pick]).collect();
            let text = format!("{sound}{}", AMBIGUOUS[wrong]);
            let bytes = through(&text, &cuts);
            prop_assert_eq!(&bytes[..sound.len()], sound.as_bytes());
            prop_assert_eq!(bytes[sound.len()..].iter().filter(|byte| **byte == 0).count(), 1);
        }

        #[test]
        fn never_panics(
            text in "(PUT|\r|\n|content-length|transfer-encoding|:| |chunked|[0-9a-fA-F]|;){0,60}",
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            through(&text, &cuts);
        }
    }
}
