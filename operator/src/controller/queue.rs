//! Which resource is looked at next, and when. Pure: time comes in as an argument.
//!
//! One resource is never handled twice at once; a trigger during its handling leads to one more pass. A resource that is
//! triggered often does not delay the others: the earliest due goes first.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::{controller::outcome::Next, object::key::Key};

/// How long triggers are collected before a pass: one change often shows up in several watches.
const SETTLE: Duration = Duration::from_millis(20);

/// A resource that failed is not tried again sooner than this, however often it is triggered.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    triggered: bool,
    failures: u32,
    not_before: Option<Instant>,
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    entries: HashMap<Key, Entry>,
    due: BTreeSet<(Instant, Key)>,
}

impl Queue {
    /// Something about the resource changed.
    pub fn trigger(&mut self, key: Key, now: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running {
            entry.triggered = true;
            return;
        }
        let earliest = entry
            .not_before
            .map_or(now + SETTLE, |time| time.max(now + SETTLE));
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

    /// Takes the resource that is due longest, if there is one.
    pub fn take(&mut self, now: Instant) -> Option<Key> {
        let (due, _) = self.due.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.due = None;
            entry.running = true;
        }
        Some(key)
    }

    /// The pass over `key` ended. `jitter` is in 0..1 and spreads retries.
    pub fn done(&mut self, key: &Key, now: Instant, next: Next, jitter: f64) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.running = false;
        let triggered = std::mem::take(&mut entry.triggered);
        let delay = match next {
            Next::Forget if !triggered => {
                self.entries.remove(key);
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

    /// When the next resource is due.
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

    /// Number of resources due by now that wait for a worker.
    #[must_use]
    pub fn waiting(&self, now: Instant) -> usize {
        self.due.iter().take_while(|(due, _)| *due <= now).count()
    }

    /// Number of resources whose last pass failed.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.failures > 0)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controller::PANIC_DELAYS, error::Class};

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn a_resource_is_never_handled_twice_at_once() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.trigger(key("a"), now);
        queue.trigger(key("a"), now);
        assert_eq!(queue.take(now + SETTLE), Some(key("a")));
        queue.trigger(key("a"), now);
        assert_eq!(queue.take(now + SECOND), None);
        queue.done(&key("a"), now, Next::After(SECOND * 600), 0.0);
        assert_eq!(queue.take(now + SETTLE), Some(key("a")));
        queue.done(&key("a"), now, Next::After(SECOND * 600), 0.0);
        assert_eq!(queue.take(now + SECOND), None);
        assert_eq!(queue.take(now + SECOND * 600), Some(key("a")));
    }

    /// Delays after this many failures in a row, without and with the whole jitter.
    fn delays(limits: (Duration, Duration), failures: usize) -> Vec<(Duration, Duration)> {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.trigger(key("bad"), now);
        let mut delays = Vec::new();
        for _ in 0..failures {
            let mut due = [0.0, 1.0].map(|jitter| {
                let mut queue = queue.clone();
                let time = queue.next_due().unwrap();
                queue.take(time).unwrap();
                queue.done(&key("bad"), time, Next::Failed(limits.0, limits.1), jitter);
                (time, queue)
            });
            let (time, ref mut latest) = due[0];
            now = latest.next_due().unwrap();
            delays.push((due[1].1.next_due().unwrap() - time, now - time));
            let [(_, latest), _] = due;
            queue = latest;
        }
        delays
    }

    #[test]
    fn delays_double_from_the_shortest_to_the_longest_and_jitter_only_shortens_them() {
        let all = Class::ALL.map(Class::delays).into_iter();
        for (shortest, longest) in all.chain([PANIC_DELAYS]) {
            let delays = delays((shortest, longest), 40);
            for (failures, (earliest, latest)) in (0_i32..).zip(&delays) {
                let whole =
                    (shortest.as_secs_f64() * 2_f64.powi(failures)).min(longest.as_secs_f64());
                assert!(
                    (latest.as_secs_f64() - whole).abs() < 1e-6,
                    "{failures}: {latest:?}"
                );
                let least = 0.7 * whole;
                assert!(
                    (earliest.as_secs_f64() - least).abs() < 1e-6,
                    "{failures}: {earliest:?}"
                );
            }
            assert_eq!(delays.last().unwrap().1, longest);
        }
    }

    #[test]
    fn a_success_starts_the_delays_again() {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.trigger(key("a"), now);
        for next in [
            Next::Failed(SECOND, SECOND * 60),
            Next::Failed(SECOND, SECOND * 60),
            Next::After(SECOND),
            Next::Failed(SECOND, SECOND * 60),
        ] {
            now = queue.next_due().unwrap();
            assert_eq!(queue.take(now), Some(key("a")));
            queue.done(&key("a"), now, next, 0.0);
        }
        assert_eq!(queue.next_due(), Some(now + SECOND));
        assert_eq!(queue.failing(), 1);
    }

    #[test]
    fn after_an_interruption_every_resource_is_looked_at_within_the_period() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for name in ["a", "b", "c", "d"] {
            queue.trigger(key(name), now);
            queue.take(now + SETTLE).unwrap();
            queue.done(&key(name), now, Next::After(SECOND * 600), 0.0);
        }
        queue.trigger_all(now, SECOND * 4);
        let mut times = Vec::new();
        while let Some(due) = queue.next_due().filter(|due| *due < now + SECOND * 60) {
            queue.take(due).unwrap();
            times.push(due - now - SETTLE);
        }
        assert_eq!(times, [0, 1, 2, 3].map(|seconds| SECOND * seconds));
    }

    #[test]
    fn failures_back_off_and_triggers_do_not_reset_it() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.trigger(key("bad"), now);
        now += SETTLE;
        let mut passes = 0;
        let end = now + SECOND * 300;
        while now < end {
            if let Some(key) = queue.take(now) {
                passes += 1;
                queue.done(&key, now, Next::Failed(SECOND * 300, SECOND * 900), 0.0);
            }
            now += SECOND;
        }
        assert_eq!(passes, 1);
        // A child that changes all the time still causes at most one pass a second.
        passes = 0;
        for _ in 0..100 {
            queue.trigger(key("bad"), now);
            if let Some(key) = queue.take(now) {
                passes += 1;
                queue.done(&key, now, Next::Failed(SECOND, SECOND * 60), 0.0);
            }
            now += SECOND / 10;
        }
        assert!((8..=11).contains(&passes), "{passes}");
    }

    #[test]
    fn a_busy_resource_does_not_starve_the_others() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.trigger(key("quiet"), now);
        let mut seen = Vec::new();
        for _ in 0..10 {
            queue.trigger(key("busy"), now);
            now += SETTLE;
            if let Some(key) = queue.take(now) {
                queue.done(&key, now, Next::After(SECOND), 0.0);
                seen.push(key);
            }
        }
        assert!(seen[..2].contains(&key("quiet")), "{seen:?}");
    }

    #[test]
    fn a_resource_that_is_gone_is_forgotten() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.trigger(key("a"), now);
        queue.take(now + SETTLE);
        queue.done(&key("a"), now, Next::Forget, 0.0);
        assert!(queue.is_empty());
        queue.trigger(key("a"), now);
        queue.take(now + SETTLE);
        queue.trigger(key("a"), now);
        queue.done(&key("a"), now, Next::Forget, 0.0);
        assert_eq!(queue.len(), 1);
    }
}
