//! Answers that the injector makes up.

use futures::{StreamExt, stream};
use http::Response;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tower::BoxError;

/// The body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, BoxError>;

/// `count` pieces of an answer, half of the next one, and a broken connection.
pub fn cut(
    note: impl FnOnce() + Send + 'static,
    pieces: BodyStream<Answer>,
    count: usize,
) -> Answer {
    let half = move |(index, piece): (usize, Result<Frame<Bytes>, BoxError>)| {
        let shorten = |data: Bytes| data.slice(..data.len() / 2);
        piece.map(|piece| match index {
            index if index < count => piece,
            _ => piece.map_data(shorten),
        })
    };
    let broken = stream::once(async move {
        note();
        Err("injected: connection reset".into())
    });
    let pieces = pieces.take(count + 1).enumerate().map(half);
    StreamBody::new(pieces.chain(broken)).boxed_unsync()
}

pub fn full(bytes: Bytes) -> Answer {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn failure(code: u16) -> serde_json::Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Injected",
        "message": "injected fault", "code": code})
}

/// The error that a watch sends when its version is gone.
pub fn gone() -> Bytes {
    Bytes::from(format!(
        "{}\n",
        json!({"type": "ERROR", "object": failure(410)})
    ))
}

pub fn refusal(code: u16) -> Response<Answer> {
    let mut response = Response::new(full(Bytes::from(failure(code).to_string())));
    *response.status_mut() = code.try_into().unwrap();
    response
}
