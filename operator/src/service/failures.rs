//! Since when the API server fails at a resource.
//!
//! A request that fails once says nothing about the resource, and is tried again. One that fails for long needs a person,
//! who has to learn which object it is. A restart of the operator forgets the time: it is reported that much later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::object::key::Key;

/// What lasts for so long is reported.
const LASTING: Duration = Duration::from_secs(30);

/// Resources whose last pass failed in the API server, and since when. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<HashMap<Key, Timestamp>>>);

impl Failures {
    /// A pass failed now: whether that has been so for long.
    #[must_use]
    pub fn last(&self, key: &Key, now: Timestamp) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = since.entry(key.clone()).or_insert(now);
        // A clock that was set back starts it anew.
        *since = (*since).min(now);
        Duration::try_from(now.duration_since(*since)).is_ok_and(|time| time >= LASTING)
    }

    /// A pass did not fail in this way.
    pub fn end(&self, key: &Key) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        controller::Reconcile,
        kubernetes::test_server::{Sent, Server},
        service::Context,
    };

    #[test]
    fn only_what_fails_without_a_break_lasts() {
        let (failures, start) = (Failures::default(), Timestamp::UNIX_EPOCH);
        let (one, other) = (Key::new("ns", "one"), Key::new("ns", "other"));
        assert!(!failures.last(&one, start));
        assert!(!failures.last(&one, start + LASTING - Duration::from_secs(1)));
        assert!(!failures.last(&other, start + LASTING));
        assert!(failures.last(&one, start + LASTING));
        failures.end(&one);
        assert!(!failures.last(&one, start + LASTING));
        assert!(!failures.last(&one, start));
        assert!(failures.last(&one, start + LASTING));
    }

    /// A call without an answer is as much of a failure as an error, and has its object and words, too.
    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_for_long_is_reported() {
        let shown = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND, "spec": {},
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}});
        let answer = move |sent: &Sent| match sent.path.contains("/helloservices/") {
            true => (200, shown.clone()),
            false => (
                200,
                json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}),
            ),
        };
        let is_silent = |sent: &Sent| sent.path.ends_with("/persistentvolumeclaims");
        let server = Server::answering(answer, is_silent);
        let mut context = Context::of_tests(server.cluster, Arc::new(|| Timestamp::UNIX_EPOCH));
        let key = Key::new("ns", "demo");
        let reported = |sent: &Mutex<Vec<Sent>>| {
            let sent = sent.lock().unwrap();
            let mut statuses = sent.iter().filter(|sent| sent.path.ends_with("/status"));
            let conditions = statuses.next()?.body["status"]["conditions"].clone();
            Some(conditions.to_string())
        };
        for seconds in [0, 29] {
            let now = Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
            context.clock = Arc::new(move || now);
            context.reconcile(&key).await;
            assert_eq!(reported(&server.sent), None, "{seconds} s");
        }
        context.clock = Arc::new(|| Timestamp::UNIX_EPOCH + LASTING);
        context.reconcile(&key).await;
        let words = reported(&server.sent).unwrap();
        for part in [
            "ApiServerFailing",
            "PersistentVolumeClaim",
            "no answer within",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }
}
