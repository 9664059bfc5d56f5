//! Requests and answers: how long they may take, and how often they are tried.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Full;
use url::{Position, Url};

use super::answer::{self, Cause};
use super::error::Failure;
use crate::http_client::{self, Connector, InvalidCertificates};

/// How long an answer may take that has hardly a content.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// What is sent and received has to be at least so fast, in bytes a second.
const SLOWEST: u64 = 64 << 10;
/// How often a request is tried.
const TRIES: u32 = 5;
/// The pause after the first try; later ones are each twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest answer: a part of an object, or a page of a list.
pub const LONGEST_ANSWER: u64 = 8 << 20;

/// One try of a request.
pub struct Attempt {
    /// The method.
    pub method: Method,
    /// The address, as it is sent.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The content.
    pub body: Bytes,
}

/// Sends requests, each on a connection of its own.
#[derive(Debug)]
pub struct Wire {
    connector: Connector,
}

impl Wire {
    /// Trusts the certificates in `ca_file`, or those of the system.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, InvalidCertificates> {
        let connector = http_client::connector(ca_file)?;
        Ok(Self { connector })
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When there is no answer, or none of success.
    pub async fn exchange(&self, attempt: Attempt) -> Result<Response<Bytes>, Failure> {
        let length = attempt.body.len() as u64 + LONGEST_ANSWER;
        let limit = ANSWER_TIMEOUT + Duration::from_secs(length / SLOWEST);
        let exchange = self.try_exchange(attempt);
        let answer = tokio::time::timeout(limit, exchange).await;
        let answer =
            answer.map_err(|_| Failure::Unreachable(format!("no answer within {limit:?}")))??;
        let cause = answer::cause(answer.body());
        if answer.status().is_success() && cause.is_none() {
            return Ok(answer);
        }
        let mut cause = cause.unwrap_or_default();
        let region = HeaderName::from_static("x-amz-bucket-region");
        if answer.status() == StatusCode::MOVED_PERMANENTLY
            && let Some(region) = answer.headers().get(region)
        {
            cause.region = region.to_str().ok().map(str::to_owned);
        }
        Err(refused(answer.status(), cause))
    }

    async fn try_exchange(&self, attempt: Attempt) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::new(Full::new(attempt.body));
        let target = &attempt.url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = target
            .parse()
            .map_err(|error| Failure::Unreachable(format!("{error}")))?;
        *request.method_mut() = attempt.method;
        *request.headers_mut() = attempt.headers;
        http_client::add_defaults(&attempt.url, request.headers_mut())
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let longest = usize::try_from(LONGEST_ANSWER).unwrap_or(usize::MAX);
        let sent = http_client::exchange(self.connector.clone(), &attempt.url, request, longest);
        sent.await
            .map_err(|error| Failure::Unreachable(error.to_string()))
    }
}

/// What an answer means that is no success, or that says on success that there is none.
fn refused(status: StatusCode, cause: Cause) -> Failure {
    let status = if status.is_success() {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        status
    };
    Failure::Refused { status, cause }
}

/// Tries until it succeeds, or fails in a way that will not change soon. The function gets the number of the try, from 1.
///
/// # Errors
/// The last failure.
pub async fn tries<T, F: Future<Output = Result<T, Failure>>>(
    mut call: impl FnMut(u32) -> F,
) -> Result<T, Failure> {
    let mut pause = PAUSE;
    for number in 1..TRIES {
        match call(number).await {
            Err(failure) if failure.is_transient() => {
                tracing::debug!(%failure, number, "a request of the bucket is tried again");
            }
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    call(TRIES).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_may_change_is_tried_again() {
        let mut calls = Vec::new();
        let denied = tries(|number| {
            calls.push(number);
            async { Err::<(), _>(Failure::denied("no".into())) }
        });
        assert!(denied.await.is_err());
        assert_eq!(calls, [1]);
        let mut calls = Vec::new();
        let later = tries(|number| {
            calls.push(number);
            async move {
                match number {
                    1 => Err(refused(StatusCode::OK, Cause::default())),
                    _ => Ok(number),
                }
            }
        });
        assert_eq!(later.await, Ok(2));
        assert_eq!(calls, [1, 2]);
    }
}
