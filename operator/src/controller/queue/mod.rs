//! Which resource is looked at next, and when. Pure: time comes in as an argument.
//!
//! One resource is never handled twice at once; a trigger during its handling leads to one more pass. A resource that is
//! triggered often does not delay the others: it has a budget of passes, and [`lanes`](super::lanes) share the workers
//! between the namespaces.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    controller::{lanes::Lanes, outcome::Next},
    object::key::Key,
};

/// How long triggers are collected before a pass: one change often shows up in several watches.
const SETTLE: Duration = Duration::from_millis(20);

/// A resource that failed is not tried again sooner than this, however often it is triggered.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Triggers lead to so many passes over a resource at once: a change comes in many steps, each with its events.
const BURST: u32 = 20;

/// Beyond that they lead to a pass in each such interval: somebody may be rewriting a child all the time.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    triggered: bool,
    /// Only time has made it due.
    by_time: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// When the passes so far are paid for, at one in each interval.
    paid: Option<Instant>,
}

impl Entry {
    /// A pass begins.
    fn begin(&mut self, now: Instant) {
        self.due = None;
        self.running = true;
        self.paid = Some(self.paid.map_or(now, |paid| paid.max(now)) + INTERVAL);
    }

    /// The earliest time of a pass that a trigger leads to.
    fn earliest(&self, now: Instant) -> Instant {
        let budget = self
            .paid
            .and_then(|paid| paid.checked_sub(BURST * INTERVAL));
        let bounds = [self.not_before, budget];
        bounds
            .into_iter()
            .flatten()
            .fold(now + SETTLE, Instant::max)
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub struct Queue {
    entries: HashMap<Key, Entry>,
    /// What is due later.
    due: BTreeSet<(Instant, Key)>,
    /// What is due, and what runs.
    lanes: Lanes,
    failing: usize,
}

impl Queue {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            entries: HashMap::new(),
            due: BTreeSet::new(),
            lanes: Lanes::new(workers),
            failing: 0,
        }
    }

    /// Something about the resource changed.
    pub fn trigger(&mut self, key: Key, now: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running {
            entry.triggered = true;
            return;
        }
        entry.by_time = false;
        let earliest = entry.earliest(now);
        if entry.due.is_none_or(|due| due > earliest) {
            Self::schedule(&mut self.due, entry, key, earliest);
        }
    }

    /// Something may have been missed: look at every resource, spread over `period`.
    pub fn trigger_all(&mut self, now: Instant, period: Duration) {
        let keys: Vec<Key> = self.entries.keys().cloned().collect();
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX).max(1);
        for (index, key) in (0_u32..).zip(keys) {
            self.trigger(key, now + period * index / count);
        }
    }

    /// Takes a resource that is due for a free worker, if there are both.
    pub fn take(&mut self, now: Instant) -> Option<Key> {
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let (due, key) = self.due.pop_first()?;
            self.lanes.push(due, key);
        }
        let key = self.lanes.take()?;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.begin(now);
        }
        Some(key)
    }

    /// Whether a pass over the resource runs.
    #[must_use]
    pub fn is_running(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.running)
    }

    /// Whether nothing but time has made this resource due that was just taken: nothing is known to have changed.
    #[must_use]
    pub fn is_by_time(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.by_time)
    }

    /// The pass over `key` ended. `jitter` is in 0..1 and spreads retries.
    pub fn done(&mut self, key: &Key, now: Instant, next: Next, jitter: f64) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        self.lanes.done(key);
        entry.running = false;
        let failed = entry.failures > 0;
        let triggered = std::mem::take(&mut entry.triggered);
        let delay = match next {
            Next::Forget if !triggered => {
                self.entries.remove(key);
                self.failing -= usize::from(failed);
                return;
            }
            Next::Forget => Duration::ZERO,
            Next::After(delay) => {
                entry.failures = 0;
                entry.not_before = None;
                delay.mul_f64(1.0 - 0.1 * jitter)
            }
            Next::Failed(shortest, longest) => {
                let delay = (shortest * 2_u32.saturating_pow(entry.failures.min(20))).min(longest);
                entry.failures = entry.failures.saturating_add(1);
                entry.not_before = Some(now + delay.min(FAILED_PAUSE));
                delay.mul_f64(1.0 - 0.3 * jitter)
            }
        };
        let fails = entry.failures > 0;
        self.failing = self.failing + usize::from(fails) - usize::from(failed);
        entry.by_time = true;
        Self::schedule(&mut self.due, entry, key.clone(), now + delay);
        if triggered {
            self.trigger(key.clone(), now);
        }
    }

    fn schedule(due: &mut BTreeSet<(Instant, Key)>, entry: &mut Entry, key: Key, time: Instant) {
        if let Some(old) = entry.due.replace(time) {
            due.remove(&(old, key.clone()));
        }
        due.insert((time, key));
    }

    /// When the next resource is due that is not due yet.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(time, _)| *time)
    }

    /// Number of resources known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no resource is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of resources that were due at the last look and wait for a worker.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    /// Number of resources whose last pass failed.
    #[must_use]
    pub const fn failing(&self) -> usize {
        self.failing
    }
}

#[cfg(test)]
mod tests;
