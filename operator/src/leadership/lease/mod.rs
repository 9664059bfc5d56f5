//! One writer at a time: a Lease in the operator's namespace.
//!
//! A holder may write for [`WRITES`] from the moment *before* it sent its last successful renewal. Another one takes over
//! only when it has itself watched the record stay the same for [`DURATION`], by its own monotonic clock. The second
//! interval starts later than the first, so the two never overlap, whatever the clocks of the nodes say. The
//! [`crate::fence`] holds back what a holder would write later than that.

use std::{io, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, timeout};

use crate::{
    kubernetes::{connection::UNACKNOWLEDGED, fence::Fence},
    leadership::watchdog::{Moment, Watchdog},
};

/// For how long nobody else takes over after a renewal.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long the holder writes after a renewal.
pub const WRITES: Duration = Duration::from_secs(11);
/// When the kernel kills a holder that has not stopped by itself.
const KILL: Duration = Duration::from_secs(13);
/// What left the process before its end has arrived, or never will, before somebody else writes.
const _: () = assert!(KILL.as_secs() + UNACKNOWLEDGED.as_secs() <= DURATION.as_secs());
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(5);
/// How often a holder whose renewal failed tries.
const RETRY: Duration = Duration::from_millis(500);
/// How often a candidate looks whether the lease was given up.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time one call may take; several fit into the lease.
const CALL: Duration = Duration::from_secs(3);
/// Name of the Lease.
const NAME: &str = "hello-operator";

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
    /// Time until the record that was last seen is free, should it stay as it is.
    fn patience(&self, now: Instant) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| {
            (*since + DURATION).saturating_duration_since(now)
        })
    }

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

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Held,
    /// Somebody else holds it.
    Taken,
    /// Not known; nothing has changed for this process.
    Failed,
}

/// A candidate for, or the holder of, the Lease.
pub struct Elector {
    api: Api<Lease>,
    judge: Judge,
    fence: Fence,
    watchdog: Option<Watchdog>,
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
            watchdog: None,
        }
    }

    /// The same, whose process is killed should it not stop writing in time.
    #[must_use]
    pub fn with(self, watchdog: Watchdog) -> Self {
        Self {
            watchdog: Some(watchdog),
            ..self
        }
    }

    /// What writes must ask.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until the Lease is held.
    pub async fn acquire(&mut self) {
        while self.round(false).await != Round::Held {
            let pause = match self.judge.patience(Instant::now()) {
                // Not a whole pause late when the holder is gone.
                left if !left.is_zero() && left < LOOK => left + Duration::from_millis(1),
                _ => LOOK,
            };
            tokio::time::sleep(pause).await;
        }
        tracing::info!(identity = self.judge.identity, "leading");
    }

    /// Renews until that was not possible for so long that the fence has closed, or somebody else holds the Lease.
    pub async fn keep(&mut self) {
        loop {
            let left = self.fence.remaining(Instant::now());
            if left.is_zero() {
                break;
            }
            // Not longer than that: there is little time until the watchdog.
            let pause = match timeout(left, self.round(true)).await {
                Ok(Round::Held) => RENEW,
                Ok(Round::Failed) => RETRY,
                Ok(Round::Taken) | Err(_) => break,
            };
            tokio::time::sleep(pause.min(self.fence.remaining(Instant::now()))).await;
        }
        tracing::warn!("the lease ran out");
    }

    /// After [`Elector::keep`]: tries until the Lease is held again, which needs that nobody else has touched it; false
    /// when somebody has. Whoever is alone goes on where it was, as soon as the API server answers.
    pub async fn regain(&mut self) -> bool {
        self.close().await;
        loop {
            match self.round(true).await {
                Round::Held => return true,
                Round::Taken => return false,
                Round::Failed => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Ends all writes and gives the Lease up, so that another one need not wait for its end; not when a write stays
    /// without an answer, which may still be carried out.
    pub async fn release(&mut self) {
        if timeout(CALL, self.close()).await.is_err() {
            tracing::warn!("lease kept: a write is under way");
            return;
        }
        let released = timeout(CALL, self.give_up()).await;
        tracing::info!(released = matches!(released, Ok(Ok(()))), "lease given up");
    }

    async fn give_up(&self) -> kube::Result<()> {
        let mut held = self.judge.seen.as_ref().map(|(record, _)| record.clone());
        while let Some(record) = held.filter(|record| record.holder == self.judge.identity) {
            match self
                .replace(&lease(String::new(), Some(record.version)))
                .await
            {
                // By a renewal that was cut short and has arrived.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    held = self.look().await?;
                }
                other => return other.map(drop),
            }
        }
        Ok(())
    }

    async fn look(&self) -> kube::Result<Option<Record>> {
        Ok(self.api.get_opt(NAME).await?.as_ref().map(record))
    }

    /// Ends all writes. Only then is there nothing to be killed for.
    async fn close(&mut self) {
        self.fence.set(None);
        self.fence.quiet().await;
        if let Some(Err(error)) = self.watchdog.as_mut().map(Watchdog::disarm) {
            tracing::error!(%error, "the watchdog cannot be disarmed");
        }
    }

    /// One look at the Lease, and a try to hold it.
    async fn round(&mut self, mine: bool) -> Round {
        // Before the first byte is sent: another one's interval can only start later.
        let (start, moment) = (Instant::now(), Watchdog::now());
        match timeout(CALL, self.attempt(mine)).await {
            Ok(Ok(false)) => return Round::Taken,
            Ok(Ok(true)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "lease not renewed");
                return Round::Failed;
            }
            Err(_) => {
                tracing::warn!("lease not renewed in time");
                return Round::Failed;
            }
        }
        // The watchdog first: the fence is never open longer than it.
        let armed = moment.and_then(|moment| self.arm(moment));
        if let Err(error) = armed {
            tracing::error!(%error, "the watchdog cannot be armed");
            return Round::Failed;
        }
        self.fence.set(Some(start + WRITES));
        Round::Held
    }

    fn arm(&mut self, from: Moment) -> io::Result<()> {
        self.watchdog
            .as_mut()
            .map_or(Ok(()), |watchdog| watchdog.arm(from, KILL))
    }

    /// Whether the Lease is held now. `mine`: only when it was before, and nobody else's in between.
    async fn attempt(&mut self, mine: bool) -> kube::Result<bool> {
        let live = self.look().await?;
        let holder = live.as_ref().map(|record| &record.holder);
        if mine && holder != Some(&self.judge.identity) {
            return Ok(false);
        }
        let version = match self.judge.judge(live, Instant::now()) {
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
mod tests;
