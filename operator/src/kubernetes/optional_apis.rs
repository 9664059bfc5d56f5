//! Kinds that a cluster may lack: their APIs come with software that is installed on its own.
//!
//! A missing API is no error. What needs it is left out and named in a condition, and it is looked
//! for again every few seconds while a resource needs it, so that installing it is all that has to be done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::runtime::watcher;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::object::{child::ChildId, kind::Kind};

/// How long an API that was missing is taken to be missing still, without asking.
const REMEMBERED: Duration = Duration::from_secs(2);

/// When to look again for an API that is missing; longer than [`REMEMBERED`], so that it is asked for.
pub const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// When to look again for an API that no resource asks for.
const LOOK_FOR_UNUSED: Duration = Duration::from_secs(300);

/// The message about a child that cannot be made because its API is missing.
#[must_use]
pub fn explain(id: &ChildId) -> String {
    let api = id.kind.resource().api_version;
    let provider = id.kind.provider().unwrap_or("Kubernetes");
    format!("{id} needs {provider}: the cluster does not serve {api}")
}

/// Whether the API server reports that it does not serve a kind.
#[must_use]
pub fn is_absence(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether a watch cannot be opened because its kind is not served.
#[must_use]
pub fn is_absence_of_watched(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            is_absence(error)
        }
        _ => false,
    }
}

/// Kinds that are missing, and when that was seen, so that not every resource asks.
#[derive(Clone, Debug, Default)]
pub struct Absent(Arc<watch::Sender<BTreeMap<Kind, Instant>>>);

impl Absent {
    /// Remembers that a kind is missing.
    pub fn mark_missing(&self, kind: Kind, now: Instant) {
        self.0.send_modify(|seen| {
            seen.insert(kind, now);
        });
    }

    /// Remembers that a kind is there.
    pub fn mark_served(&self, kind: Kind) {
        self.0.send_if_modified(|seen| seen.remove(&kind).is_some());
    }

    /// Waits until a pass that needs the kind finds it, at most [`LOOK_FOR_UNUSED`].
    pub async fn until_served(&self, kind: Kind) {
        let mut seen = self.0.subscribe();
        // Either way it is looked for next.
        let _ = timeout(
            LOOK_FOR_UNUSED,
            seen.wait_for(|seen| !seen.contains_key(&kind)),
        )
        .await;
    }

    /// Whether a kind was missing within [`REMEMBERED`], so that it is not asked for again.
    #[must_use]
    pub fn was_missing_recently(&self, kind: Kind, now: Instant) -> bool {
        let seen = self.0.borrow();
        seen.get(&kind)
            .is_some_and(|at| now.saturating_duration_since(*at) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_absence_is_forgotten_before_the_next_look() {
        let absent = Absent::default();
        let now = Instant::now();
        assert!(!absent.was_missing_recently(Kind::Cluster, now));
        absent.mark_missing(Kind::Cluster, now);
        assert!(absent.was_missing_recently(Kind::Cluster, now + REMEMBERED / 2));
        assert!(!absent.was_missing_recently(Kind::Cluster, now + LOOK_AGAIN));
        assert!(!absent.was_missing_recently(Kind::Secret, now));
    }

    #[tokio::test]
    async fn a_watch_waits_until_a_resource_finds_its_kind() {
        let absent = Absent::default();
        absent.mark_missing(Kind::Cluster, Instant::now());
        let mut waits = std::pin::pin!(absent.until_served(Kind::Cluster));
        assert!(waits.as_mut().now_or_never().is_none());
        absent.mark_served(Kind::HTTPRoute);
        assert!(waits.as_mut().now_or_never().is_none());
        absent.mark_served(Kind::Cluster);
        waits.await;
    }

    #[test]
    fn only_a_missing_api_is_an_absence() {
        let answer = |code: u16| {
            let status = kube::core::Status::failure("message", "Reason").with_code(code);
            kube::Error::Api(status.boxed())
        };
        assert!(is_absence_of_watched(&watcher::Error::InitialListFailed(
            answer(404)
        )));
        for error in [
            watcher::Error::InitialListFailed(answer(403)),
            watcher::Error::InitialListFailed(answer(503)),
            watcher::Error::NoResourceVersion,
        ] {
            assert!(!is_absence_of_watched(&error), "{error}");
        }
    }

    #[test]
    fn the_explanation_names_what_to_install() {
        assert_eq!(
            explain(&ChildId::new(Kind::Cluster, "demo-db")),
            "Cluster demo-db needs CloudNativePG: the cluster does not serve postgresql.cnpg.io/v1"
        );
        assert_eq!(
            explain(&ChildId::new(Kind::HTTPRoute, "demo")),
            "HTTPRoute demo needs the Gateway API: the cluster does not serve gateway.networking.k8s.io/v1"
        );
    }
}
