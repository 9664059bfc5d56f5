//! Sits between an operator and the API server, and makes requests fail in every way.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task,
    time::Duration,
};

use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

use crate::{
    injected::{Answer, cut, full, gone, refusal},
    server::{Server, server},
};

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All pass.
    Calm,
    /// Some get one of [`FAULTS`], few enough for passes to progress, and every watch is cut or expires.
    Storm,
    /// The first answer to each list is the one that was kept.
    Stale,
    /// Requests of this kind never get an answer.
    Silent(Target),
    /// This many writes arrive, events aside; then none does, as if the process had died.
    DieAfter(u32),
}

/// Which requests are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    All,
    Watches,
}

/// Names of the faults of a storm.
pub const FAULTS: [&str; 12] = [
    "409", "410", "429", "500", "503", "lost", "refused", "slow", "silent", "stale", "cut",
    "expired",
];

/// The injector; clones are the same one.
#[derive(Clone)]
pub struct Faults {
    mode: watch::Sender<Mode>,
    /// Counts up to expire every open watch.
    expiry: watch::Sender<u32>,
    count: Arc<AtomicU32>,
    writes: Arc<AtomicU32>,
    seen: Arc<Mutex<BTreeMap<&'static str, u32>>>,
    lists: Arc<Mutex<HashMap<String, Bytes>>>,
    keeping: Arc<AtomicBool>,
    /// Whether it is a write, and the address.
    asked: Arc<Mutex<Vec<(bool, String)>>>,
}

#[derive(Clone)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        let faults = self.clone();
        Faulty { inner, faults }
    }
}

/// What a request asks for, as far as faults differ by it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    List,
    Watch,
    Event,
    Write,
    Other,
}

impl Ask {
    fn from_request<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        let below = uri.path().rsplit_once("/namespaces/").map(|(_, path)| path);
        let parts: Vec<&str> = below.unwrap_or_default().split('/').collect();
        let read = request.method() == Method::GET;
        match (parts.get(1), parts.len()) {
            (Some(&"events"), _) => Self::Event,
            _ if !read => Self::Write,
            _ if uri.query().unwrap_or_default().contains("watch=true") => Self::Watch,
            (Some(_), 2) => Self::List,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Pass,
    Slow,
    Refuse(u16),
    /// Carried out, but the answer is lost.
    LoseAnswer,
    Unreachable,
    /// No answer until the storm is over, when the connection breaks.
    Hang,
    /// No answer, ever.
    Forget,
    /// An earlier answer, if one is kept.
    Stale,
    /// After this many pieces the answer breaks off in the middle of the next one.
    Cut(usize),
    /// After this many pieces the watch expires: it reports that its version is gone.
    Expire(usize),
}

impl Faults {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode: watch::Sender::new(mode),
            expiry: watch::Sender::new(0),
            count: Arc::default(),
            writes: Arc::default(),
            seen: Arc::default(),
            lists: Arc::default(),
            keeping: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub fn set(&self, mode: Mode) {
        self.writes.store(0, Ordering::SeqCst);
        self.mode.send_replace(mode);
    }

    /// Writes since the mode was set, those that did not arrive included.
    pub fn writes(&self) -> u32 {
        self.writes.load(Ordering::SeqCst)
    }

    /// How often a fault has happened.
    pub fn seen(&self, fault: &str) -> u32 {
        let seen = self.seen.lock().unwrap();
        seen.get(fault).copied().unwrap_or_default()
    }

    fn count_fault(&self, fault: &'static str) {
        *self.seen.lock().unwrap().entry(fault).or_default() += 1;
    }

    /// From now on the last answer to each list is kept, whatever follows.
    pub fn keep_lists(&self) {
        self.keeping.store(true, Ordering::SeqCst);
    }

    /// Number of different lists that have a kept answer. Those of one name do not count: they are asked for only while
    /// nothing of that name is known.
    pub fn lists(&self) -> usize {
        let lists = self.lists.lock().unwrap();
        let repeated = |key: &&String| !key.contains("fieldSelector=metadata.name");
        lists.keys().filter(repeated).count()
    }

    /// Expires every open watch: its version is gone, so the operator has to list again.
    pub fn expire_watches(&self) {
        self.expiry.send_modify(|count| *count += 1);
    }

    /// Number of requests, or only of writes, whose address contains `text`; events do not count.
    pub fn about(&self, text: &str, only_writes: bool) -> usize {
        let asked = self.asked.lock().unwrap();
        let wanted =
            |(write, address): &&(bool, String)| (*write || !only_writes) && address.contains(text);
        asked.iter().filter(wanted).count()
    }

    pub fn client(&self) -> Client {
        self.client_for(server())
    }

    /// A client for a server of its own.
    pub fn client_for(&self, server: &Server) -> Client {
        let config = server.config(&server.url);
        hello_operator::kubernetes::connection::builder(config)
            .unwrap()
            .with_layer(self)
            .with_layer(&hello_operator::kubernetes::connection::response_timeout())
            .build()
    }

    fn fate(&self, ask: Ask) -> Fate {
        let write = u32::from(ask == Ask::Write);
        let before = self.writes.fetch_add(write, Ordering::SeqCst);
        match *self.mode.borrow() {
            Mode::Calm => Fate::Pass,
            Mode::Stale if ask == Ask::List => Fate::Stale,
            Mode::Stale => Fate::Pass,
            Mode::Silent(Target::Watches) if ask != Ask::Watch => Fate::Pass,
            Mode::Silent(_) => Fate::Forget,
            Mode::DieAfter(limit) if before + write > limit => Fate::Unreachable,
            Mode::DieAfter(_) => Fate::Pass,
            Mode::Storm => self.storm(ask),
        }
    }

    /// A fixed sequence without a pattern (Knuth's multiplicative hash), so that a failure can be repeated.
    fn storm(&self, ask: Ask) -> Fate {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let roll = count.wrapping_mul(2_654_435_761) >> 16;
        match roll % 240 {
            0 | 1 => Fate::Refuse(409),
            2 | 3 => Fate::Refuse(410),
            4 | 5 => Fate::Refuse(429),
            6 | 7 => Fate::Refuse(500),
            8 | 9 => Fate::Refuse(503),
            10 | 11 => Fate::LoseAnswer,
            12 | 13 => Fate::Unreachable,
            14 | 15 => Fate::Slow,
            16 => Fate::Hang,
            17..30 if ask == Ask::List => Fate::Stale,
            rest if ask == Ask::Watch && rest % 2 == 0 => Fate::Cut(rest as usize % 3),
            rest if ask == Ask::Watch => Fate::Expire(rest as usize % 3),
            _ => Fate::Pass,
        }
    }

    /// Keeps the answer to a list, and returns the answer to give.
    async fn list<B>(&self, key: String, stale: bool, answer: Response<B>) -> Faultily
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        let kept = {
            let mut lists = self.lists.lock().unwrap();
            // A stale answer is given once: the next one is current.
            let kept = lists.get(&key).filter(|_| stale).cloned();
            if kept.is_some() {
                lists.remove(&key);
            } else if head.status.is_success() && !self.keeping.load(Ordering::SeqCst) {
                lists.insert(key, body.clone());
            }
            kept
        };
        if kept.is_some() {
            self.count_fault("stale");
        }
        Ok(Response::from_parts(head, full(kept.unwrap_or(body))))
    }

    /// The answer to a watch, until it expires.
    fn watched(&self, fate: Fate, body: Answer) -> Answer {
        let mut expiry = self.expiry.subscribe();
        let expired = async move {
            // The sender lives as long as the injector.
            let _ = expiry.changed().await;
        };
        let pieces = BodyStream::new(body);
        let faults = self.clone();
        let gone = stream::once(async move {
            faults.count_fault("expired");
            Ok(Frame::data(gone()))
        });
        match fate {
            Fate::Cut(count) => {
                let faults = self.clone();
                cut(move || faults.count_fault("cut"), pieces, count)
            }
            Fate::Expire(count) => StreamBody::new(pieces.take(count).chain(gone)).boxed_unsync(),
            _ => {
                let until = Box::pin(expired);
                StreamBody::new(pieces.take_until(until).chain(gone)).boxed_unsync()
            }
        }
    }
}

const fn name(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Refuse(409) => Some("409"),
        Fate::Refuse(410) => Some("410"),
        Fate::Refuse(429) => Some("429"),
        Fate::Refuse(500) => Some("500"),
        Fate::Refuse(_) => Some("503"),
        Fate::LoseAnswer => Some("lost"),
        Fate::Unreachable => Some("refused"),
        Fate::Slow => Some("slow"),
        Fate::Hang | Fate::Forget => Some("silent"),
        // Counted when they happen.
        Fate::Pass | Fate::Stale | Fate::Cut(_) | Fate::Expire(_) => None,
    }
}

type Faultily = Result<Response<Answer>, BoxError>;

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Faultily> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (faults, ask) = (self.faults.clone(), Ask::from_request(&request));
        let (fate, key) = (faults.fate(ask), request.uri().to_string());
        if ask != Ask::Event {
            let mut asked = faults.asked.lock().unwrap();
            asked.push((ask == Ask::Write, key.clone()));
        }
        if let Some(name) = name(fate) {
            faults.count_fault(name);
        }
        match fate {
            Fate::Refuse(code) => return Box::pin(async move { Ok(refusal(code)) }),
            Fate::Unreachable => {
                return Box::pin(async { Err("injected: connection refused".into()) });
            }
            Fate::Forget => return Box::pin(std::future::pending()),
            Fate::Hang => {
                let mut mode = faults.mode.subscribe();
                return Box::pin(async move {
                    let _ = mode.wait_for(|mode| *mode != Mode::Storm).await;
                    Err("injected: connection reset".into())
                });
            }
            _ => {}
        }
        let inner = self.inner.call(request);
        Box::pin(async move {
            if matches!(fate, Fate::Slow) {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            let response = inner.await?;
            match (ask, fate) {
                (_, Fate::LoseAnswer) => Err("injected: connection reset".into()),
                (Ask::List, _) => {
                    faults
                        .list(key, matches!(fate, Fate::Stale), response)
                        .await
                }
                (Ask::Watch, _) => Ok(response
                    .map(|body| faults.watched(fate, body.map_err(Into::into).boxed_unsync()))),
                _ => Ok(response.map(|body| body.map_err(Into::into).boxed_unsync())),
            }
        })
    }
}
