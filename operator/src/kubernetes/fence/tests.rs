use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;

use super::*;

/// A short one, in real time.
const LEASE: Duration = Duration::from_secs(1);

fn leading() -> Fence {
    let fence = Fence::closed();
    fence.set(Some(Instant::now() + LEASE));
    fence
}

/// An API server that counts requests, and answers after a time.
fn server(takes: Duration) -> (Client, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(takes).await;
            let body = http_body_util::Full::new(hyper::body::Bytes::from("{}"));
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }
    });
    (Client::new(service, "default"), asked)
}

async fn send(client: &Client, method: Method) -> Result<(), kube::Error> {
    let request = Request::builder().method(method).uri("/x?a=b");
    client
        .send(request.body(Body::empty()).unwrap())
        .await
        .map(drop)
}

fn reason(error: kube::Error) -> Closed {
    let kube::Error::Service(error) = error else {
        panic!("{error}")
    };
    *error.downcast().unwrap()
}

#[tokio::test]
async fn a_write_is_not_even_sent_when_the_fence_is_closed_and_a_read_is() {
    let (client, asked) = server(Duration::ZERO);
    let fence = Fence::closed();
    let client = fence.around(client);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        fence.set(Some(Instant::now() + Duration::from_secs(60)));
        send(&client, method.clone()).await.unwrap();
        fence.set(Some(Instant::now()));
        let before = asked.load(Ordering::SeqCst);
        let error = send(&client, method).await.unwrap_err();
        assert!(Closed::refused(&error));
        assert_eq!(reason(error), Closed::Before);
        assert_eq!(asked.load(Ordering::SeqCst), before);
        send(&client, Method::GET).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_is_given_up_when_the_fence_closes() {
    let (client, asked) = server(Duration::from_secs(60));
    let fence = leading();
    let error = send(&fence.around(client), Method::PATCH)
        .await
        .unwrap_err();
    assert!(!Closed::refused(&error));
    assert_eq!(reason(error), Closed::Meanwhile);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// The process is stopped before the request leaves, and goes on after the lease has ended: what wakes up first must not
/// be the request.
#[tokio::test]
async fn after_a_stop_the_deadline_is_looked_at_before_the_request_goes_on() {
    let fence = leading();
    let polls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&polls);
    let write = async move |_| {
        std::future::poll_fn(|_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok::<_, BoxError>("written")),
        })
        .await
    };
    let mut write = Box::pin(fence.pass(write));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(write.as_mut().poll(&mut context).is_pending());
    // Without the runtime, whose timers do not notice.
    std::thread::sleep(LEASE);
    let Poll::Ready(Err(error)) = write.as_mut().poll(&mut context) else {
        panic!("it goes on")
    };
    assert_eq!(*error.downcast::<Closed>().unwrap(), Closed::Meanwhile);
    assert_eq!(polls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn it_is_quiet_when_the_last_write_has_ended() {
    let (client, asked) = server(LEASE);
    let fence = Fence::open();
    let client = fence.around(client);
    let write = tokio::spawn(async move { send(&client, Method::PUT).await });
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    fence.set(None);
    let soon = tokio::time::timeout(LEASE / 10, fence.quiet()).await;
    assert!(soon.is_err(), "a write is under way");
    fence.quiet().await;
    assert!(write.is_finished());
    write.await.unwrap().unwrap();
}

#[test]
fn the_api_server_is_given_the_time_that_is_left() {
    let with_time = |uri: &str| {
        let uri = bounded(&uri.parse().unwrap(), Duration::from_millis(1500)).unwrap();
        uri.to_string()
    };
    assert_eq!(with_time("/api/v1/x"), "/api/v1/x?timeout=1500ms");
    assert_eq!(with_time("/api/v1/x?"), "/api/v1/x?timeout=1500ms");
    assert_eq!(with_time("/x?&force=true"), "/x?&force=true&timeout=1500ms");
    let none = bounded(&"/x".parse().unwrap(), Duration::ZERO).unwrap();
    assert_eq!(none, "/x?timeout=1ms");
}

#[test]
fn a_closed_fence_lets_nothing_pass() {
    let now = Instant::now();
    assert!(Fence::closed().remaining(now).is_zero());
    assert!(!Fence::open().remaining(now).is_zero());
    let fence = Fence::closed();
    fence.set(Some(now + LEASE));
    assert_eq!(fence.remaining(now), LEASE);
    assert!(fence.remaining(now + LEASE).is_zero());
}
