//! An API server that fails in every way it can: the end is always the same.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task,
    time::{Duration, Instant},
};

use hello_operator::child::{ChildId, Kind};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use kube::{Client, client::Body};
use serde_json::json;
use tower::{BoxError, Layer, Service};

use crate::{
    converge::everything,
    server::server,
    world::{World, eventually},
};

type Answer = UnsyncBoxBody<Bytes, BoxError>;

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// They pass.
    Calm,
    /// Four in ten meet one of the faults below.
    Storm,
    /// None arrives.
    Away,
    /// So many writes arrive; then none, as if the process had died.
    DieAfter(u32),
}

/// Stands between the operator and the API server.
#[derive(Clone)]
struct Faults {
    mode: Arc<Mutex<Mode>>,
    count: Arc<AtomicU32>,
    writes: Arc<AtomicU32>,
}

#[derive(Clone)]
struct Faulty<S> {
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

enum Fate {
    Pass,
    Slow,
    Refuse(u16),
    /// Carried out, but the answer is lost.
    LoseAnswer,
    Unreachable,
}

impl Faults {
    fn new(mode: Mode) -> Self {
        Self {
            mode: Arc::new(Mutex::new(mode)),
            count: Arc::default(),
            writes: Arc::default(),
        }
    }

    fn set(&self, mode: Mode) {
        self.writes.store(0, Ordering::SeqCst);
        *self.mode.lock().unwrap() = mode;
    }

    fn client(&self) -> Client {
        let config = server().config(&server().url);
        hello_operator::client::builder(config)
            .unwrap()
            .with_layer(self)
            .build()
    }

    fn fate(&self, method: &Method) -> Fate {
        match *self.mode.lock().unwrap() {
            Mode::Calm => Fate::Pass,
            Mode::Away => Fate::Unreachable,
            Mode::DieAfter(limit) => {
                let write = method != Method::GET;
                let before = self.writes.fetch_add(u32::from(write), Ordering::SeqCst);
                if before >= limit {
                    Fate::Unreachable
                } else {
                    Fate::Pass
                }
            }
            Mode::Storm => {
                // A fixed sequence without a pattern (Knuth's multiplicative hash), so a failure can be repeated.
                let roll = self
                    .count
                    .fetch_add(1, Ordering::SeqCst)
                    .wrapping_mul(2_654_435_761)
                    >> 16;
                match roll % 20 {
                    0 => Fate::Refuse(409),
                    1 => Fate::Refuse(410),
                    2 => Fate::Refuse(429),
                    3 => Fate::Refuse(500),
                    4 => Fate::Refuse(503),
                    5 => Fate::LoseAnswer,
                    6 => Fate::Unreachable,
                    7 => Fate::Slow,
                    _ => Fate::Pass,
                }
            }
        }
    }
}

fn answer(code: u16) -> Response<Answer> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Injected",
        "message": "injected fault", "code": code});
    let body = Full::new(Bytes::from(status.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = code.try_into().unwrap();
    response
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fate = self.faults.fate(request.method());
        match fate {
            Fate::Refuse(code) => return Box::pin(async move { Ok(answer(code)) }),
            Fate::Unreachable => {
                return Box::pin(async { Err("injected: connection refused".into()) });
            }
            Fate::Pass | Fate::Slow | Fate::LoseAnswer => {}
        }
        let inner = self.inner.call(request);
        Box::pin(async move {
            if matches!(fate, Fate::Slow) {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            let response = inner.await?;
            if matches!(fate, Fate::LoseAnswer) {
                return Err("injected: connection reset".into());
            }
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }
}

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

async fn image(world: &World) -> String {
    let live = world.get(&app()).await.unwrap();
    let containers = &live.data["spec"]["template"]["spec"]["containers"];
    containers[0]["image"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_kind_end_in_the_wanted_state() {
    let world = World::new("storm").await;
    let faults = Faults::new(Mode::Storm);
    let operator = world.operator_through(faults.client());
    world.apply("demo", everything()).await;
    for version in 1..=4 {
        let mut spec = everything();
        spec["image"] = format!("hello-app:{version}").into();
        world.apply("demo", spec).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    faults.set(Mode::Calm);
    let start = Instant::now();
    world.ready("demo").await;
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(image(&world).await, "hello-app:4");
    assert_eq!(world.children("demo").await.len(), 21);
    // And it comes to rest.
    world.settle(&operator).await;
    let writes = operator.writes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.writes(), writes);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_comes_back_is_noticed_within_10_seconds() {
    let world = World::new("away").await;
    let faults = Faults::new(Mode::Calm);
    let operator = world.operator_through(faults.client());
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    faults.set(Mode::Away);
    world.apply("demo", json!({"replicas": 4})).await;
    // Long enough for every back-off to reach its cap.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = operator.reconciles();
    faults.set(Mode::Calm);
    let start = Instant::now();
    world.ready("demo").await;
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert!(
        before < 60,
        "{before} reconciles while nothing could be done"
    );
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_single_write_of_a_rollout_ends_the_same() {
    let world = World::new("crash").await;
    let faults = Faults::new(Mode::Calm);
    let operator = world.operator_through(faults.client());
    world.apply("demo", json!({"image": "hello-app:0"})).await;
    world.ready("demo").await;
    operator.stop().await;
    for limit in 1..=9 {
        let wanted = format!("hello-app:{}", limit + 1);
        faults.set(Mode::DieAfter(limit));
        let doomed = world.operator_through(faults.client());
        world
            .apply("demo", json!({"image": wanted, "replicas": 2 + limit % 2}))
            .await;
        eventually(
            &format!("the operator died after {limit} writes, or was done"),
            || async {
                let dead = faults.writes.load(Ordering::SeqCst) >= limit;
                let done = image(&world).await == wanted;
                (dead || done).then_some(())
            },
        )
        .await;
        doomed.stop().await;
        faults.set(Mode::Calm);
        let successor = world.operator_through(faults.client());
        world.ready("demo").await;
        assert_eq!(image(&world).await, wanted, "crash after {limit} writes");
        assert_eq!(
            world.get(&app()).await.unwrap().data["spec"]["replicas"],
            2 + limit % 2
        );
        successor.stop().await;
    }
}
