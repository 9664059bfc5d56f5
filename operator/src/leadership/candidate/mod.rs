//! Decides whether a lease is free, by how long its record stays the same. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::leadership::times::LEASE;

/// The content of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Identity of the holder; empty when the lease was given up.
    pub holder: String,
    /// Whether some process has held it since it was created.
    pub was_held: bool,
    /// Its `resourceVersion`, which every write changes.
    pub version: String,
}

/// What a candidate may do about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There is none: create it.
    Create,
    /// It is free, or the candidate's own: replace this version.
    Replace(String),
    /// Nobody has held it since it was created: replace this version.
    Begin(String),
    /// Another process holds it.
    Wait,
}

/// A process that wants to hold the lease, and what it has seen of it.
#[derive(Debug)]
pub struct Candidate {
    /// A name that no other process has.
    pub identity: String,
    /// The last record, and since when it is the same.
    seen: Option<(Record, Instant)>,
    /// From when on it may write as the holder.
    quiet_until: Option<Instant>,
}

impl Candidate {
    /// A candidate that has seen nothing yet.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            seen: None,
            quiet_until: None,
        }
    }

    /// How long the holder must not write yet, because an earlier one may.
    #[must_use]
    pub fn quiet(&self, now: Instant) -> Duration {
        self.quiet_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Time until the record that was last seen is free, should it stay as it is.
    #[must_use]
    pub fn time_until_free(&self, now: Instant) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| {
            (*since + LEASE).saturating_duration_since(now)
        })
    }

    /// Takes note of the record that is there, and returns what may be done about it.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) -> Claim {
        let Some(record) = record else {
            self.seen = None;
            return Claim::Create;
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let free = record.holder.is_empty()
            || record.holder == self.identity
            || now.duration_since(since) > LEASE;
        let (version, was_held) = (record.version.clone(), record.was_held);
        self.seen = Some((record, since));
        match (free, was_held) {
            (true, true) => Claim::Replace(version),
            (true, false) => Claim::Begin(version),
            (false, _) => Claim::Wait,
        }
    }

    /// Remembers the record that this process has written for a claim, which was just answered.
    ///
    /// A lease that is not there, or was never held, may have been deleted under a holder. That one stops when its own
    /// lease is over, so this one holds the new lease for as long without writing.
    pub fn wrote(&mut self, claim: &Claim, record: Record, now: Instant) {
        match claim {
            Claim::Create | Claim::Begin(_) => self.quiet_until = Some(now + LEASE),
            Claim::Replace(_) if self.held_before() => {}
            Claim::Replace(_) | Claim::Wait => self.quiet_until = None,
        }
        self.seen = Some((record, now));
    }

    /// Whether the record that was last seen was this process' own.
    fn held_before(&self) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|(record, _)| record.holder == self.identity)
    }
}

#[cfg(test)]
mod tests;
