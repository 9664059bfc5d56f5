//! An API server that answers as a test wants and keeps what it was sent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use crate::{
    kubernetes::{api::Cluster, fence::Fence},
    telemetry::metrics::Metrics,
};

/// One request as the API server saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub content_type: String,
    pub body: Value,
}

impl Sent {
    async fn from_request(request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let header = parts.headers.get(http::header::CONTENT_TYPE);
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            // How long the API server may take is the fence's concern.
            query: pairs
                .filter(|(key, _)| *key != "timeout")
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            content_type: header
                .map_or("", |value| value.to_str().unwrap())
                .to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }
}

/// An API server that answers by what it was sent.
pub struct Server {
    pub cluster: Cluster,
    pub sent: Arc<Mutex<Vec<Sent>>>,
}

impl Server {
    pub fn new(answer: impl Fn(&Sent) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self::answering(answer, |_| false)
    }

    /// The same, but it never answers what is silent.
    pub fn answering(
        answer: impl Fn(&Sent) -> (u16, Value) + Send + Sync + 'static,
        is_silent: impl Fn(&Sent) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (sent, answer) = (
            Arc::<Mutex<Vec<Sent>>>::default(),
            Arc::new((answer, is_silent)),
        );
        let seen = Arc::clone(&sent);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let sent = Sent::from_request(request).await;
                let ((code, body), silent) = (answer.0(&sent), answer.1(&sent));
                seen.lock().unwrap().push(sent);
                if silent {
                    std::future::pending::<()>().await;
                }
                let response = Response::builder().status(code);
                response.body(Full::new(Bytes::from(body.to_string())))
            }
        });
        let client = Client::new(service, "default");
        let metrics = Arc::new(Metrics::default());
        Self {
            cluster: Cluster::new(client, metrics, Fence::open()),
            sent,
        }
    }

    /// One that never answers requests for this plural; for all when it is empty.
    pub fn silent_for(plural: &'static str) -> Self {
        Self::answering(stored, move |sent| sent.path.contains(plural))
    }

    /// Method and last part of the path of each request.
    pub fn calls(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let calls = sent.iter().map(|sent| {
            let path: Vec<&str> = sent.path.rsplit('/').take(2).collect();
            format!("{} {}", sent.method, path[1])
        });
        calls.collect()
    }
}

/// The object that was written, with a UID.
pub fn stored(sent: &Sent) -> (u16, Value) {
    let name = sent.path.rsplit('/').next();
    (200, json!({"metadata": {"name": name, "uid": "made"}}))
}

pub fn failure(code: u16) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "no", "reason": "Any", "code": code});
    (code, status)
}

/// Answers requests to this plural with a code, and stores everything else.
pub fn failing(plural: &'static str, code: u16) -> Server {
    Server::new(move |sent| {
        let of_kind = sent.path.contains(&format!("/{plural}/"));
        if of_kind { failure(code) } else { stored(sent) }
    })
}
