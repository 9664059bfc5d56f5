//! Which changes are news: not those that a pass over the resource has made itself.
//!
//! A watch may report a write before its answer is here, so a change that comes during a pass is judged at its end.

use tokio::time::Instant;

use crate::{
    controller::{queue::Queue, watches::Change},
    kubernetes::own_writes::OwnWrites,
    object::key::Key,
};

/// Changes that wait for the end of a pass, at most. Of more, each counts as news.
const MOST_HELD: usize = 1024;

/// Tells the queue which resources have news.
#[derive(Debug)]
pub struct News {
    own_writes: OwnWrites,
    held: Vec<Change>,
}

impl News {
    /// Knows what this process has written.
    #[must_use]
    pub const fn new(own_writes: OwnWrites) -> Self {
        Self {
            own_writes,
            held: Vec::new(),
        }
    }

    /// A watch reported a change.
    pub fn arrived(&mut self, change: Change, queue: &mut Queue, now: Instant) {
        if self.is_own(&change) {
            return;
        }
        let undecided = change.version.is_some() && queue.is_running(&change.key);
        if undecided && self.held.len() < MOST_HELD {
            self.held.push(change);
        } else {
            queue.trigger(change.key, now);
        }
    }

    /// The pass over this resource ended, and the queue knows.
    pub fn passed(&mut self, key: &Key, queue: &mut Queue, now: Instant) {
        let held: Vec<Change> = self
            .held
            .extract_if(.., |change| change.key == *key)
            .collect();
        if held.iter().any(|change| !self.is_own(change)) {
            queue.trigger(key.clone(), now);
        }
    }

    fn is_own(&self, change: &Change) -> bool {
        change
            .version
            .is_some_and(|version| self.own_writes.contains(version))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::api::ObjectMeta;

    use super::*;
    use crate::{controller::outcome::Next, kubernetes::own_writes::Version};

    const DAY: Duration = Duration::from_secs(86_400);

    fn demo() -> Key {
        Key::new("ns", "demo")
    }

    fn object(version: usize) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        }
    }

    fn change(version: usize) -> Change {
        Change {
            key: demo(),
            version: Version::from_metadata(&object(version)),
        }
    }

    /// A pass over the resource has begun.
    fn passing(now: Instant) -> (News, OwnWrites, Queue) {
        let (own, mut queue) = (OwnWrites::default(), Queue::new(1));
        queue.trigger(demo(), now);
        assert_eq!(queue.take(now + Duration::from_secs(1)), Some(demo()));
        (News::new(own.clone()), own, queue)
    }

    /// Whether another pass is due within a second of the end of this one.
    fn pass_follows(news: &mut News, queue: &mut Queue, now: Instant) -> bool {
        queue.done(&demo(), now, Next::After(DAY), 0.0);
        news.passed(&demo(), queue, now);
        queue.next_due().unwrap() < now + Duration::from_secs(1)
    }

    #[test]
    fn a_pass_does_not_follow_from_its_own_writes_whenever_they_are_reported() {
        let now = Instant::now();
        let (mut news, own, mut queue) = passing(now);
        own.remember(&object(1));
        news.arrived(change(1), &mut queue, now);
        news.arrived(change(2), &mut queue, now);
        own.remember(&object(2));
        assert!(!pass_follows(&mut news, &mut queue, now));
        own.remember(&object(3));
        news.arrived(change(3), &mut queue, now);
        assert!(queue.next_due().unwrap() > now + DAY / 2);
    }

    #[test]
    fn a_pass_follows_from_every_other_change() {
        let now = Instant::now();
        let (mut news, own, mut queue) = passing(now);
        own.remember(&object(1));
        news.arrived(change(1), &mut queue, now);
        news.arrived(change(2), &mut queue, now);
        assert!(pass_follows(&mut news, &mut queue, now));

        let (mut news, _, mut queue) = passing(now);
        news.arrived(Change::foreign(demo()), &mut queue, now);
        assert!(pass_follows(&mut news, &mut queue, now));

        // One that comes later is news at once.
        let (mut news, _, mut queue) = passing(now);
        assert!(!pass_follows(&mut news, &mut queue, now));
        news.arrived(change(1), &mut queue, now);
        assert!(queue.next_due().unwrap() < now + Duration::from_secs(1));
    }

    #[test]
    fn a_flood_of_changes_is_not_kept() {
        let now = Instant::now();
        let (mut news, own, mut queue) = passing(now);
        for version in 0..2 * MOST_HELD {
            news.arrived(change(version), &mut queue, now);
        }
        assert_eq!(news.held.len(), MOST_HELD);
        for version in 0..MOST_HELD {
            own.remember(&object(version));
        }
        assert!(pass_follows(&mut news, &mut queue, now));
        assert!(news.held.is_empty());
    }
}
