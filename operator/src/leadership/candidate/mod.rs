//! Decides whether a lease is free, by how long its record stays the same. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::leadership::times::LEASE;

/// The content of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Identity of the holder; empty when the lease was given up.
    pub holder: String,
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
}

impl Candidate {
    /// A candidate that has seen nothing yet.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            seen: None,
        }
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
        let version = record.version.clone();
        self.seen = Some((record, since));
        if free {
            Claim::Replace(version)
        } else {
            Claim::Wait
        }
    }

    /// Remembers the record that this process has written.
    pub fn wrote(&mut self, record: Record, now: Instant) {
        self.seen = Some((record, now));
    }

    /// The record that was last seen, when this process holds it.
    #[must_use]
    pub fn own(&self) -> Option<Record> {
        let (record, _) = self.seen.as_ref()?;
        (record.holder == self.identity).then(|| record.clone())
    }
}

#[cfg(test)]
mod tests;
