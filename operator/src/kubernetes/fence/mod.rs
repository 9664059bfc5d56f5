//! The fence around writes: it keeps a process that may not lead any more from writing to the API server.
//!
//! It is part of the client through which every write goes, events included, and not of the code that writes. A request
//! that changes something is refused once the fence is closed, and given up when the fence closes before the answer.
//!
//! It is the first of four bounds on when a write can reach the API server. The argument for all of them is in the
//! folder `leadership`, which opens and closes the fence.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri};
use kube::{Client, client::Body};
use tokio::{
    sync::RwLock,
    time::{Instant, sleep_until},
};
use tower::{BoxError, Service};

use crate::kubernetes::connection::DEADLINE;

/// Until when this process may write.
#[derive(Clone, Debug)]
pub struct Fence {
    until: Arc<Mutex<Option<Instant>>>,
    /// Every write holds it shared until its answer.
    under_way: Arc<RwLock<()>>,
}

/// Why a write was not made, or not to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Closed {
    /// Nothing was sent.
    #[error("not the leader")]
    Before,
    /// Whether it was carried out is not known.
    #[error("the lease ended before the answer")]
    Meanwhile,
}

impl Closed {
    /// Whether a call was not made at all because of a fence.
    #[must_use]
    pub fn refused(error: &kube::Error) -> bool {
        matches!(error, kube::Error::Service(error)
            if matches!(error.downcast_ref(), Some(Self::Before)))
    }
}

impl Fence {
    /// Closed until a lease is held.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            until: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Open for a century: for a process that knows that it is alone.
    #[must_use]
    pub fn open() -> Self {
        let fence = Self::closed();
        let century = Duration::from_secs(100 * 365 * 86_400);
        fence.set(Some(Instant::now() + century));
        fence
    }

    /// Time for which writes are allowed; zero when they are not.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    pub(crate) fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Waits until no write is under way. Only of use once the fence is closed.
    pub(crate) async fn quiet(&self) {
        drop(self.under_way.write().await);
    }

    /// A client whose writes pass only while the fence is open.
    #[must_use]
    pub fn around(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let fence = self.clone();
        Client::new(Fenced { client, fence }, namespace)
    }

    /// Lets a write go on for as long as the fence is open now.
    async fn pass<T, E: Into<BoxError>>(
        &self,
        write: impl AsyncFnOnce(Duration) -> Result<T, E>,
    ) -> Result<T, BoxError> {
        let _under_way = self.under_way.read().await;
        let start = Instant::now();
        let left = self.remaining(start);
        if left.is_zero() {
            return Err(Closed::Before.into());
        }
        let end = start + left;
        let (mut write, mut timer) = (pin!(write(left)), pin!(sleep_until(end)));
        std::future::poll_fn(|context| {
            // The clock and not the timer: after a stop of the process this may be polled before the timer has noticed.
            if Instant::now() >= end {
                return Poll::Ready(Err(Closed::Meanwhile.into()));
            }
            if let Poll::Ready(answer) = write.as_mut().poll(context) {
                return Poll::Ready(answer.map_err(Into::into));
            }
            let late = timer.as_mut().poll(context);
            late.map(|()| Err(Closed::Meanwhile.into()))
        })
        .await
    }
}

/// A client behind a fence.
struct Fenced {
    client: Client,
    fence: Fence,
}

impl Service<Request<Body>> for Fenced {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (client, fence) = (self.client.clone(), self.fence.clone());
        Box::pin(async move {
            if request.method().is_safe() {
                return Ok(client.send(request).await?);
            }
            let send = async move |left: Duration| {
                *request.uri_mut() = bounded(request.uri(), left.min(DEADLINE))?;
                client.send(request).await.map_err(BoxError::from)
            };
            fence.pass(send).await
        })
    }
}

/// The same request, on which the API server may work for so long.
fn bounded(uri: &Uri, time: Duration) -> Result<Uri, http::Error> {
    // None at all would mean the default, which is a minute.
    let time = time.as_millis().max(1);
    let query = match uri.query() {
        None | Some("") => String::new(),
        Some(query) => format!("{query}&"),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}timeout={time}ms", uri.path()).parse()?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests;
