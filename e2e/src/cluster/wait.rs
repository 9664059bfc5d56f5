//! Waiting: always for something that has a name, with a deadline, and with the last seen state in the message.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

/// How often something that cannot be watched is probed.
const INTERVAL: Duration = Duration::from_millis(250);

/// What one probe showed.
#[derive(Debug)]
pub enum Seen<T> {
    /// The awaited state.
    Done(T),
    /// Something else; the text goes into the message when the deadline passes.
    NotYet(String),
}

impl<T> Seen<T> {
    /// Not yet, described by the value's `Debug`.
    pub fn not_yet(state: impl Debug) -> Self {
        Self::NotYet(format!("{state:?}"))
    }
}

/// Calls `probe` until it has seen `what`.
///
/// # Errors
/// When `limit` has passed (the message names `what` and the last seen state), or as soon as `probe` itself fails.
pub async fn poll<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Seen<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = "nothing, the first probe did not return".to_owned();
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(seen) => match seen? {
                Seen::Done(value) => return Ok(value),
                Seen::NotYet(state) => last = state,
            },
            Err(_) => bail!("waited {limit:?} for {what}; last seen: {last}"),
        }
        if Instant::now() + INTERVAL > deadline {
            bail!("waited {limit:?} for {what}; last seen: {last}");
        }
        sleep(INTERVAL).await;
    }
}

/// Watches one object until `look` has seen `what`; `look` gets `None` while the object does not exist.
///
/// # Errors
/// When `limit` has passed; the message names `what` and the last seen state, or the last error of the watch.
pub async fn watch<K, T>(
    api: &Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    mut look: impl FnMut(Option<K>) -> Seen<T>,
) -> Result<T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let deadline = Instant::now() + limit;
    let mut last = "nothing, the watch did not start".to_owned();
    let mut stream = pin!(watch_object(api.clone(), name).default_backoff());
    loop {
        match timeout_at(deadline, stream.next()).await {
            Ok(Some(Ok(object))) => match look(object) {
                Seen::Done(value) => return Ok(value),
                Seen::NotYet(state) => last = state,
            },
            Ok(Some(Err(error))) => last = format!("watch failed: {error}"),
            Ok(None) => bail!("the watch for {what} ended; last seen: {last}"),
            Err(_) => bail!("waited {limit:?} for {what}; last seen: {last}"),
        }
    }
}

/// Waits until the object is gone.
///
/// # Errors
/// When it is still there after `limit`.
pub async fn gone<K>(api: &Api<K>, name: &str, limit: Duration) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watch(
        api,
        name,
        &format!("{name} to be gone"),
        limit,
        |object| match object {
            None => Seen::Done(()),
            Some(object) => Seen::NotYet(format!(
                "still there, deletion asked for at {:?}, finalizers {:?}",
                object.meta().deletion_timestamp,
                object.meta().finalizers
            )),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_names_what_and_the_last_state() {
        let mut looks = 0;
        let result: Result<()> = poll("the tide", Duration::from_millis(600), async || {
            looks += 1;
            Ok(Seen::NotYet(format!("look {looks}")))
        })
        .await;
        let message = result.unwrap_err().to_string();
        assert!(
            message.contains("for the tide; last seen: look "),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_cut_at_the_deadline() {
        let result: Result<()> = poll("an answer", Duration::from_millis(50), async || {
            std::future::pending::<()>().await;
            Ok(Seen::Done(()))
        })
        .await;
        assert!(result.unwrap_err().to_string().contains("for an answer"));
    }

    #[tokio::test]
    async fn an_error_of_the_probe_ends_the_wait() {
        let result: Result<()> =
            poll("x", Duration::from_secs(60), async || bail!("cannot look")).await;
        assert_eq!(result.unwrap_err().to_string(), "cannot look");
    }
}
