//! One writer at a time: a Lease in the operator's namespace.
//!
//! A holder may write for [`DURATION`] from the moment *before* it sent its last successful
//! renewal. Another one takes over only when it has itself watched the record stay the same for
//! that long, by its own monotonic clock. The second interval starts later than the first, so the
//! two never overlap, whatever the clocks of the nodes say. Every write carries what is left of
//! the interval as its deadline.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;

/// How long a renewal lasts.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(5);
/// How often a candidate, or a holder whose renewal failed, tries.
const RETRY: Duration = Duration::from_millis(500);
/// Longest time one call may take; several fit into the lease.
const CALL: Duration = Duration::from_secs(3);
/// Name of the Lease.
const NAME: &str = "hello-operator";

/// Until when this process may write.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Mutex<Option<Instant>>>);

impl Fence {
    /// Closed until a lease is held.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Open for a century: for a process that knows that it is alone.
    #[must_use]
    pub fn open() -> Self {
        let century = Duration::from_secs(100 * 365 * 86_400);
        Self(Arc::new(Mutex::new(Some(Instant::now() + century))))
    }

    /// Time for which writes are allowed; zero when they are not.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    holder: String,
    version: String,
}

/// What a process may do about a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// There is none: create it.
    Create,
    /// Replace this version.
    Replace(String),
    /// Somebody else holds it.
    Wait,
}

/// Judges records by how long they stay the same.
#[derive(Debug)]
struct Judge {
    identity: String,
    seen: Option<(Record, Instant)>,
}

impl Judge {
    fn judge(&mut self, record: Option<Record>, now: Instant) -> Verdict {
        let Some(record) = record else {
            self.seen = None;
            return Verdict::Create;
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let free = record.holder.is_empty()
            || record.holder == self.identity
            || now.duration_since(since) > DURATION;
        let version = record.version.clone();
        self.seen = Some((record, since));
        if free {
            Verdict::Replace(version)
        } else {
            Verdict::Wait
        }
    }
}

/// A candidate for, or the holder of, the Lease.
pub struct Elector {
    api: Api<Lease>,
    judge: Judge,
    fence: Fence,
}

impl Elector {
    /// A candidate of this unique name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            judge: Judge {
                identity,
                seen: None,
            },
            fence: Fence::closed(),
        }
    }

    /// What writes must ask.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until the Lease is held.
    pub async fn acquire(&mut self) {
        while !self.round().await {
            tokio::time::sleep(RETRY).await;
        }
        tracing::info!(identity = self.judge.identity, "leading");
    }

    /// Renews until the lease has run out; the process must end then.
    pub async fn keep(&mut self) {
        while !self.fence.remaining(Instant::now()).is_zero() {
            let pause = if self.round().await { RENEW } else { RETRY };
            tokio::time::sleep(pause.min(self.fence.remaining(Instant::now()))).await;
        }
        tracing::error!("the lease ran out");
    }

    /// Gives the Lease up, so that another one need not wait for its end.
    pub async fn release(&mut self) {
        self.fence.set(None);
        let record = self.judge.seen.as_ref().map(|(record, _)| record.clone());
        if let Some(record) = record.filter(|record| record.holder == self.judge.identity) {
            let lease = lease(String::new(), Some(record.version));
            let released = tokio::time::timeout(CALL, self.replace(&lease)).await;
            tracing::info!(released = matches!(released, Ok(Ok(_))), "lease given up");
        }
    }

    /// One look at the Lease, and a try to hold it. Every error counts as "not held".
    async fn round(&mut self) -> bool {
        // Before the first byte is sent: another one's interval can only start later.
        let start = Instant::now();
        match tokio::time::timeout(CALL, self.attempt()).await {
            Ok(Ok(held)) => {
                if held {
                    self.fence.set(Some(start + DURATION));
                }
                held
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "lease not renewed");
                false
            }
            Err(_) => {
                tracing::warn!("lease not renewed in time");
                false
            }
        }
    }

    async fn attempt(&mut self) -> kube::Result<bool> {
        let live = self.api.get_opt(NAME).await?;
        let version = match self.judge.judge(live.as_ref().map(record), Instant::now()) {
            Verdict::Wait => return Ok(false),
            Verdict::Create => None,
            Verdict::Replace(version) => Some(version),
        };
        let wanted = lease(self.judge.identity.clone(), version);
        let written = match &wanted.metadata.resource_version {
            None => self.api.create(&PostParams::default(), &wanted).await?,
            Some(_) => self.replace(&wanted).await?,
        };
        self.judge.seen = Some((record(&written), Instant::now()));
        Ok(true)
    }

    async fn replace(&self, lease: &Lease) -> kube::Result<Lease> {
        self.api.replace(NAME, &PostParams::default(), lease).await
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    Record {
        holder: spec
            .and_then(|spec| spec.holder_identity.clone())
            .unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The times are for people to read; nothing is decided by them.
fn lease(holder: String, version: Option<String>) -> Lease {
    let now = MicroTime(jiff::Timestamp::now());
    Lease {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            resource_version: version,
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder),
            lease_duration_seconds: Some(DURATION.as_secs().try_into().unwrap_or(i32::MAX)),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
