//! What must hold for any bytes on an HTTP/1 connection: the inspection in front of hyper sees the requests that hyper
//! sees. The target `wire` in `fuzz` looks for counter-examples.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Method, StatusCode, Uri, Version, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{FramingGuard, HeadDue, Scanner};

/// A request: its target and its body.
type Seen = (Vec<u8>, Vec<u8>);

/// A connection that brings these bytes in pieces, and takes everything.
struct Wire {
    bytes: Vec<u8>,
    position: usize,
    piece: usize,
    written: Rc<RefCell<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.bytes[self.position..];
        let count = rest.len().min(self.piece).min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.position += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The whole requests that the inspection sees.
fn inspected(bytes: &[u8]) -> Vec<Seen> {
    let mut scanner = Scanner::default();
    let (mut requests, mut head, mut body) = (Vec::new(), Vec::new(), Vec::new());
    for byte in bytes {
        let mut byte = *byte;
        let (was_between, in_body) = (scanner.is_between_requests(), scanner.is_in_body());
        if scanner.inspect(std::slice::from_mut(&mut byte)) == 0 || scanner.has_refused() {
            break;
        }
        match (was_between, in_body) {
            (_, true) => body.push(byte),
            _ => head.push(byte),
        }
        if scanner.is_between_requests() {
            let (head, body) = (std::mem::take(&mut head), std::mem::take(&mut body));
            if !was_between {
                let line = head.trim_ascii_start();
                let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                requests.push((parsed(target), body));
            }
        }
    }
    requests
}

/// A target as hyper gives it to its service: without a fragment, for one thing.
fn parsed(target: &[u8]) -> Vec<u8> {
    Uri::try_from(target).map_or_else(|_| target.to_vec(), |uri| uri.to_string().into_bytes())
}

/// The whole requests that hyper sees behind the inspection, and whether it went on to the end without a complaint.
fn served(bytes: &[u8], piece: usize) -> (Vec<Seen>, bool) {
    let (requests, written) = (RefCell::new(Vec::new()), Rc::default());
    let (broken, closing) = (std::cell::Cell::new(false), std::cell::Cell::new(false));
    let service = hyper::service::service_fn(async |request: hyper::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let closes =
            head.version == Version::HTTP_10 || head.headers.contains_key(header::CONNECTION);
        closing.set(closing.get() || closes);
        let mut response = hyper::Response::new(Empty::<Bytes>::new());
        match body.collect().await {
            Ok(body) if !broken.get() => {
                let target = head.uri.to_string().into_bytes();
                let body = body.to_bytes().to_vec();
                requests.borrow_mut().push((target, body));
            }
            _ => broken.set(true),
        }
        if head.method == Method::CONNECT {
            // As the API does; another answer would end HTTP on the connection.
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        }
        Ok::<_, Infallible>(response)
    });
    let wire = Wire {
        bytes: bytes.to_vec(),
        position: 0,
        piece,
        written: Rc::clone(&written),
    };
    let stream = TokioIo::new(FramingGuard::new(wire, HeadDue::default()));
    let mut builder = hyper::server::conn::http1::Builder::new();
    let connection = builder.half_close(true).serve_connection(stream, service);
    let ended = futures::executor::block_on(connection);
    let refusals: [&[u8]; 2] = [b"HTTP/1.1 400", b"HTTP/1.1 431"];
    let refused = refusals
        .into_iter()
        .any(|line| memchr::memmem::find(&written.borrow(), line).is_some());
    let complains = ended.is_err() || refused || broken.get() || closing.get();
    (requests.into_inner(), !complains)
}

/// Any bytes of HTTP/1, the first of which says how many come at once: hyper sees only requests that the inspection saw,
/// and, unless it gives up, all of them.
pub fn wire(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let piece = match piece {
        0 => usize::MAX,
        piece => usize::from(*piece),
    };
    let inspected = inspected(bytes);
    let (served, to_the_end) = served(bytes, piece);
    assert!(
        inspected.starts_with(&served),
        "{served:?} of {inspected:?}"
    );
    assert!(
        !to_the_end || served.len() == inspected.len(),
        "only {served:?} of {inspected:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of requests, sound and unsound, of which whole streams are made.
    const PARTS: [&str; 40] = [
        "GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
        "PUT /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "PUT /c HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
        "PUT /d HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc",
        "PUT /e HTTP/1.1\nhost: x\nContent-Length: 2\n\nok",
        "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        "5\r\nhello\r\n",
        "5;x=y\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhello\n",
        "5;\nhello\r\n",
        "00\r\n",
        "0\r\n",
        "0\n",
        "t: c\r\n",
        "t: c\n",
        "t: c\n\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        ",",
        ";",
        "\0",
        "0",
        "f",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "PUT /f HTTP/1.1\r\n",
        "host: x\r\n",
        "content-length: 1\r\n",
        "Content-Length:1\n",
        "content-length : 1\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "connection: close\r\n",
        "expect: 100-continue\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];

    fn line_end() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            6 => Just("\r\n"),
            2 => Just("\n"),
            1 => Just("\n\n"),
            1 => Just("\r"),
            1 => Just(";x\r\n"),
            1 => Just(" \n"),
            1 => Just(""),
        ]
    }

    #[test]
    fn a_line_feed_alone_never_hides_a_request() {
        let put = PARTS[1];
        for body in [
            "0\r\nt: c\n\r\n",
            "0\r\nt: c\n\n",
            "0\r\n\n",
            "0\n\r\n",
            "1\r\nx\n0\r\n\r\n",
        ] {
            let text = format!("\0{put}{body}{}{}", PARTS[0], PARTS[0]);
            wire(text.as_bytes());
        }
        let sound = format!("{put}5\r\nhello\r\n0\r\nt: c\r\n\r\n{}", PARTS[0]);
        let seen = |target: &str, body: &str| (target.into(), body.into());
        let expected = vec![seen("/b", "hello"), seen("/a", "")];
        assert_eq!(served(sound.as_bytes(), 3), (expected.clone(), true));
        assert_eq!(inspected(sound.as_bytes()), expected);
    }

    #[test]
    fn targets_are_those_that_hyper_makes_of_them() {
        for (target, seen) in [
            ("/a#b", "/a"),
            ("/#", "/"),
            ("/a?", "/a?"),
            ("HTTP://x", "http://x/"),
            ("*", "*"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n{}", PARTS[0]);
            let expected = vec![(seen.into(), Vec::new()), ("/a".into(), Vec::new())];
            assert_eq!(inspected(text.as_bytes()), expected, "{target}");
            wire(&[&[0], text.as_bytes()].concat());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_inspection_sees_the_requests_that_hyper_sees(
            piece in any::<u8>(),
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..14),
        ) {
            let text = parts.concat();
            wire(&[&[piece], text.as_bytes()].concat());
        }

        #[test]
        fn however_the_lines_of_a_body_end(
            piece in any::<u8>(),
            ends in prop::collection::vec(line_end(), 5),
        ) {
            let (put, get) = (PARTS[1], PARTS[0]);
            let [size, data, last, trailer, end] = &ends[..] else { unreachable!() };
            let body = format!("5{size}hello{data}0{last}t: c{trailer}{end}");
            wire(&[&[piece], format!("{put}{body}{get}{get}").as_bytes()].concat());
        }

        #[test]
        fn also_in_bytes_that_were_damaged(
            piece in any::<u8>(),
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..8),
            damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = parts.concat().into_bytes();
            for (place, byte) in damage {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            wire(&[&[piece], &bytes[..]].concat());
        }
    }
}
