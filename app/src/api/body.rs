//! Reading a request's body: bounded in size and time, and strictly JSON.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, header};

use super::problem::Problem;
use super::problem_kind::ProblemKind;

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: usize = 8 << 10;
/// The largest body that is read to its end although it is refused, in bytes. So the client sees the
/// response, and the connection stays usable.
const MAX_DISCARDED: u64 = 4 << 20;
/// The same for a body that is not looked at.
const MAX_UNREAD: u64 = 64 << 10;
/// How long such a body may take to arrive; the answer waits for it.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads a body whose headers declare plain JSON, as UTF-8 text.
///
/// # Errors
/// 415 for another media type or any encoding, 413 over [`MAX_BODY`], 408 after `deadline`, 400
/// when the body breaks off or is not UTF-8.
pub async fn read_json<B: Buf>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
    deadline: Duration,
) -> Result<String, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) || !is_json(headers) {
        return Err(Problem::new(ProblemKind::UnsupportedMediaType));
    }
    let declared = content_length(headers).unwrap_or(0);
    let expects_continue = headers.contains_key(header::EXPECT);
    let too_large = usize::try_from(declared).map_or(true, |length| length > MAX_BODY);
    // A client that expects 100 has not sent the body yet: refuse before it does.
    if too_large && (expects_continue || declared > MAX_DISCARDED) {
        return Err(Problem::new(ProblemKind::BodyTooLarge));
    }
    let bytes = tokio::time::timeout(deadline, collect(body))
        .await
        .map_err(|_| Problem::new(ProblemKind::RequestTimeout))??;
    String::from_utf8(bytes.into()).map_err(|_| Problem::body("", "is not UTF-8"))
}

/// Whether a request has a body.
pub fn is_declared(headers: &HeaderMap) -> bool {
    content_length(headers).unwrap_or(0) > 0 || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Reads what is left of a body that the answer did not need, so that the connection stays usable: the client may be
/// sending it already, and what comes after it is the next request. `false` when the connection has to be closed instead,
/// because that would take too long, or the client has not begun and may not begin at all.
pub async fn discard<B: Buf>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> bool {
    let declared = content_length(headers);
    if headers.contains_key(header::EXPECT) || declared.is_some_and(|length| length > MAX_UNREAD) {
        return false;
    }
    let rest = async {
        let mut body = pin!(body);
        let mut length = 0;
        while let Some(chunk) = body.next().await {
            length = chunk.map_or(u64::MAX, |chunk| length + chunk.remaining() as u64);
            if length > MAX_UNREAD {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(DISCARD_TIMEOUT, rest)
        .await
        .unwrap_or(false)
}

/// Collects up to [`MAX_BODY`] bytes. Reads and drops the rest, up to [`MAX_DISCARDED`].
async fn collect<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<BytesMut, Problem> {
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    let mut length = 0_u64;
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| Problem::body("", "broke off or is malformed"))?;
        length += chunk.remaining() as u64;
        if length > MAX_DISCARDED {
            break;
        }
        if length <= MAX_BODY as u64 {
            while chunk.has_remaining() {
                let piece = chunk.chunk();
                bytes.extend_from_slice(piece);
                let taken = piece.len();
                chunk.advance(taken);
            }
        }
    }
    if length > MAX_BODY as u64 {
        return Err(Problem::new(ProblemKind::BodyTooLarge));
    }
    Ok(bytes)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whether there is exactly one content type, and it is `application/json` with no charset but UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
                charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn knows_json_by_its_content_type() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
            is_json(&headers)
        };
        for json in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json ; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x",
        ] {
            assert!(with(json), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/vnd.api+json",
            "application/jsonp",
            "application/json, text/plain",
            "application/json; charset=latin1",
            "application/json; charset=utf-8; charset=latin1",
            "appliçation/json",
        ] {
            assert!(!with(other), "{other}");
        }
        let mut twice = HeaderMap::new();
        twice.append(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        twice.append(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        assert!(!is_json(&twice));
        assert!(!is_json(&HeaderMap::new()));
    }
}
