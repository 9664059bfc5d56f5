//! The Lease: acquired, renewed, regained after an outage, given up. Why this leaves one writer: see
//! [`crate::leadership`].

use std::{io, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, timeout};

use crate::{
    kubernetes::fence::Fence,
    leadership::{
        candidate::{Candidate, Claim, Record},
        times::{CALL, CHECK, KILL, LEASE, RENEW, RETRY, WRITES},
        watchdog::{Moment, Watchdog},
    },
};

/// Added to a wait, so that the lease is over after it and not just then.
const ROUNDING: Duration = Duration::from_millis(1);

/// Name of the Lease.
const NAME: &str = "hello-operator";

/// Result of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Held,
    /// Another process holds it.
    Taken,
    /// Not known; nothing has changed for this process.
    Failed,
}

/// A candidate for, or the holder of, the Lease.
pub struct Elector {
    api: Api<Lease>,
    candidate: Candidate,
    fence: Fence,
    watchdog: Option<Watchdog>,
}

impl Elector {
    /// A candidate with this unique name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            candidate: Candidate::new(identity),
            fence: Fence::closed(),
            watchdog: None,
        }
    }

    /// The same, in a process that is killed when it does not stop writing in time.
    #[must_use]
    pub fn with(self, watchdog: Watchdog) -> Self {
        Self {
            watchdog: Some(watchdog),
            ..self
        }
    }

    /// The fence that every write must pass.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until the Lease is held.
    pub async fn acquire(&mut self) {
        while self.round(false).await != Round::Held {
            let pause = match self.candidate.time_until_free(Instant::now()) {
                // Not a whole pause late when the holder is gone.
                left if !left.is_zero() && left < CHECK => left + ROUNDING,
                _ => CHECK,
            };
            tokio::time::sleep(pause).await;
        }
        tracing::info!(identity = self.candidate.identity, "leading");
    }

    /// Renews until that failed for so long that the fence has closed, or another process holds the Lease.
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
        tracing::warn!("lease expired");
    }

    /// After [`Elector::keep`]: tries until the Lease is held again; false when another process has written it in between.
    /// A process that is alone goes on as soon as the API server answers.
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

    /// Ends all writes and gives the Lease up, so that the next holder need not wait for its end. Keeps it when a write has
    /// no answer yet, which may still be carried out.
    pub async fn release(&mut self) {
        if timeout(CALL, self.close()).await.is_err() {
            tracing::warn!("lease kept: a write is in progress");
            return;
        }
        let released = timeout(CALL, self.give_up()).await;
        tracing::info!(released = matches!(released, Ok(Ok(()))), "lease given up");
    }

    async fn give_up(&self) -> kube::Result<()> {
        let mut held = self.candidate.own();
        while let Some(record) = held.filter(|record| record.holder == self.candidate.identity) {
            match self
                .replace(&lease(String::new(), Some(record.version)))
                .await
            {
                // A renewal that was cut short has arrived.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    held = self.read().await?;
                }
                other => return other.map(drop),
            }
        }
        Ok(())
    }

    async fn read(&self) -> kube::Result<Option<Record>> {
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

    /// Reads the Lease and tries to hold it. `mine`: see [`Elector::attempt`].
    async fn round(&mut self, mine: bool) -> Round {
        // Before the first byte is sent: the interval of another candidate can only start later.
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
        // The watchdog first: the fence is never open without it.
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

    /// Whether the Lease is held now. `mine`: only when this process held it before, and no other one in between.
    async fn attempt(&mut self, mine: bool) -> kube::Result<bool> {
        let live = self.read().await?;
        let holder = live.as_ref().map(|record| &record.holder);
        if mine && holder != Some(&self.candidate.identity) {
            return Ok(false);
        }
        let version = match self.candidate.observe(live, Instant::now()) {
            Claim::Wait => return Ok(false),
            Claim::Create => None,
            Claim::Replace(version) => Some(version),
        };
        let wanted = lease(self.candidate.identity.clone(), version);
        let written = match &wanted.metadata.resource_version {
            None => self.api.create(&PostParams::default(), &wanted).await?,
            Some(_) => self.replace(&wanted).await?,
        };
        self.candidate.wrote(record(&written), Instant::now());
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

/// The times are for people; nothing is decided by them.
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
            lease_duration_seconds: Some(LEASE.as_secs().try_into().unwrap_or(i32::MAX)),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}
