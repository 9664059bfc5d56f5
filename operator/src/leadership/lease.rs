//! The Lease: acquired, renewed, regained after an outage, given up. Why this leaves one writer: see
//! [`crate::leadership`].

use std::{io, time::Duration};

use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
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
    /// It is held, and an earlier holder may still write.
    Quiet,
    /// Another process holds it.
    Taken,
    /// Not known; nothing has changed for this process.
    Failed,
}

/// A candidate for, or the holder of, the Lease.
pub struct Elector {
    api: Api<Lease>,
    candidate: Candidate,
    /// The Lease as this process last wrote it.
    written: Option<Lease>,
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
            written: None,
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
        loop {
            // Not a whole pause late when the time has come.
            let left = match self.round(false).await {
                Round::Held => break,
                Round::Quiet => self.candidate.quiet(Instant::now()),
                Round::Taken | Round::Failed => self.candidate.time_until_free(Instant::now()),
            };
            let pause = match left.is_zero() {
                true => CHECK,
                false => CHECK.min(left + ROUNDING),
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
                Ok(Round::Quiet | Round::Taken) | Err(_) => break,
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
                Round::Quiet | Round::Taken => return false,
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
        let mut held = self.written.clone();
        while let Some(lease) = held.filter(|lease| record(lease).holder == self.candidate.identity)
        {
            match self.replace(&held_by(lease, "")).await {
                // A renewal that was cut short has arrived.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    held = self.api.get_opt(NAME).await?;
                }
                other => return other.map(drop),
            }
        }
        Ok(())
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
        if !self.candidate.quiet(Instant::now()).is_zero() {
            return Round::Quiet;
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
        let live = self.api.get_opt(NAME).await?;
        let seen = live.as_ref().map(record);
        let holder = seen.as_ref().map(|record| &record.holder);
        if mine && holder != Some(&self.candidate.identity) {
            return Ok(false);
        }
        let claim = self.candidate.observe(seen, Instant::now());
        let wanted = held_by(live.unwrap_or_default(), &self.candidate.identity);
        let written = match &claim {
            Claim::Wait => return Ok(false),
            Claim::Create => self.api.create(&PostParams::default(), &wanted).await?,
            Claim::Replace(_) | Claim::Begin(_) => self.replace(&wanted).await?,
        };
        if matches!(claim, Claim::Create | Claim::Begin(_)) {
            let seconds = LEASE.as_secs();
            tracing::info!("the lease is new: an earlier holder is given {seconds} s to stop");
        }
        let now = Instant::now();
        self.candidate.wrote(&claim, record(&written), now);
        self.written = Some(written);
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
        was_held: spec.is_some_and(|spec| spec.renew_time.is_some()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The same Lease with this holder. What other clients wrote on it stays. The times are for people; nothing is decided
/// by them.
fn held_by(mut lease: Lease, holder: &str) -> Lease {
    let now = MicroTime(jiff::Timestamp::now());
    lease.metadata.name = Some(NAME.into());
    let spec = lease.spec.get_or_insert_default();
    if !holder.is_empty() && spec.holder_identity.as_deref() != Some(holder) {
        spec.acquire_time = Some(now.clone());
        let transitions = spec.lease_transitions.unwrap_or_default();
        spec.lease_transitions = Some(transitions.saturating_add(1));
    }
    spec.holder_identity = Some(holder.to_owned());
    spec.lease_duration_seconds = Some(LEASE.as_secs().try_into().unwrap_or(i32::MAX));
    spec.renew_time = Some(now);
    lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_wrote_on_the_lease_stays() {
        let live = json!({"metadata": {"name": NAME, "resourceVersion": "7", "labels": {"team": "a"},
            "annotations": {"note": "x"}}, "spec": {"strategy": "OldestEmulationVersion", "leaseTransitions": 4}});
        let held = held_by(serde_json::from_value(live).unwrap(), "me");
        let metadata = serde_json::to_value(&held.metadata).unwrap();
        assert_eq!(metadata["resourceVersion"], "7");
        assert_eq!(metadata["labels"]["team"], "a");
        assert_eq!(metadata["annotations"]["note"], "x");
        let spec = held.spec.clone().unwrap();
        assert_eq!(spec.strategy.as_deref(), Some("OldestEmulationVersion"));
        assert_eq!(spec.holder_identity.as_deref(), Some("me"));
        assert_eq!(spec.lease_transitions, Some(5));
        let renewed = held_by(held.clone(), "me").spec.unwrap();
        assert_eq!(renewed.lease_transitions, Some(5));
        assert_eq!(renewed.acquire_time, spec.acquire_time);
        let free = record(&held_by(held, ""));
        assert!(free.holder.is_empty() && free.was_held);
        assert!(!record(&Lease::default()).was_held);
    }
}
