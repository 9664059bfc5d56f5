//! A small HTTP client for the greeting API, with pooled or with fresh connections.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::civil::Date;
use tokio::time::timeout;

use super::endpoint::Endpoint;

/// A request that is not answered within this time has failed.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// No answer of the API is nearly as large.
const BODY_LIMIT: usize = 1 << 20;

/// How connections are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connections {
    /// Kept open and used again, as most clients do.
    Pooled,
    /// A new one for each request, as every first request of a client.
    Fresh,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection: the request was certainly not seen.
    NotSent(String),
    /// The connection broke or time ran out: the request may have been seen.
    Cut(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not connected: {why}"),
            Self::Cut(why) => write!(f, "cut: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: String,
}

/// The client of one greeting API.
#[derive(Clone)]
pub struct Http {
    endpoint: Endpoint,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    /// A client of the API at an endpoint, such as `http://address:port`.
    pub fn new(endpoint: impl Into<Endpoint>, connections: Connections) -> Self {
        let endpoint = endpoint.into();
        let mut builder = Client::builder(TokioExecutor::new());
        if connections == Connections::Fresh {
            builder.pool_max_idle_per_host(0);
        }
        let client = builder.build(endpoint.connector());
        Self { endpoint, client }
    }

    /// Sends one request; an answer of any status is a success here.
    ///
    /// # Errors
    /// When there is no complete answer within [`REQUEST_LIMIT`].
    pub async fn send(&self, method: Method, path: &str, body: &str) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoint.url(path))
            .header("content-type", "application/json");
        if let Some(host) = self.endpoint.host() {
            request = request.header("host", host);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| Failure::NotSent(error.to_string()))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                let not_sent = error.is_connect();
                let why = format!("{:#}", anyhow::Error::new(error));
                if not_sent {
                    Failure::NotSent(why)
                } else {
                    Failure::Cut(why)
                }
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_LIMIT)
                .collect()
                .await
                .map_err(|error| Failure::Cut(format!("answer {status}, then: {error}")))?
                .to_bytes();
            Ok(Answer {
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        timeout(REQUEST_LIMIT, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::Cut(format!("no answer in {REQUEST_LIMIT:?}"))))
    }

    /// Stores a date of birth.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn put(&self, user: &str, born: Date) -> Result<Answer, Failure> {
        self.send(Method::PUT, &format!("/hello/{user}"), &put_body(born))
            .await
    }

    /// Asks for a greeting.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn get(&self, user: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, &format!("/hello/{user}"), "").await
    }

    /// Stores a date of birth and insists on 204.
    ///
    /// # Errors
    /// On any other answer.
    pub async fn must_put(&self, user: &str, born: Date) -> Result<()> {
        let answer = self.put(user, born).await?;
        ensure!(
            answer.status == StatusCode::NO_CONTENT && answer.body.is_empty(),
            "PUT /hello/{user} answered {}: {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Asks for a greeting and insists on 200.
    ///
    /// # Errors
    /// On any other answer, or one without a message.
    pub async fn must_get(&self, user: &str) -> Result<String> {
        let answer = self.get(user).await?;
        ensure!(
            answer.status == StatusCode::OK,
            "GET /hello/{user} answered {}: {}",
            answer.status,
            answer.body
        );
        message(&answer.body)
    }
}

/// The body of `PUT /hello/{user}`.
pub fn put_body(born: Date) -> String {
    format!(r#"{{"dateOfBirth":"{born}"}}"#)
}

/// The message in the body of an answer to `GET /hello/{user}`.
///
/// # Errors
/// When the body is anything else than an object with one text, `message`.
pub fn message(body: &str) -> Result<String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Greeting {
        message: String,
    }
    let greeting: Greeting =
        serde_json::from_str(body).with_context(|| format!("not a greeting: {body}"))?;
    Ok(greeting.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = Http::new(&base, Connections::Fresh)
            .get("alice")
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::NotSent(_)), "{failure}");
    }

    #[tokio::test]
    async fn a_connection_cut_before_the_answer_may_have_been_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            assert_ne!(socket.read(&mut buffer).await.unwrap(), 0);
            socket.write_all(b"HTTP/1.1 20").await.unwrap();
        });
        let failure = Http::new(&base, Connections::Fresh)
            .get("alice")
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Cut(_)), "{failure}");
    }

    #[test]
    fn only_a_greeting_is_a_greeting() {
        assert_eq!(message(r#"{"message":"Hello, a!"}"#).unwrap(), "Hello, a!");
        assert!(message("").is_err());
        assert!(message(r#"{"message":"x","trace":"y"}"#).is_err());
    }
}
