//! Which of the resources that are due gets a free worker: namespaces take turns, and none takes all workers.
//!
//! A namespace gets another worker only while it has fewer than are free. The first one that asks for many gets half of
//! them, the next one half of the rest, so a resource elsewhere finds a free worker although each pass of a neighbour
//! takes as long as it may.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use crate::object::key::Key;

/// The resources of one namespace that are due or run.
#[derive(Clone, Debug, Default)]
struct Lane {
    due: BTreeSet<(Instant, Key)>,
    running: usize,
}

/// The namespaces and the workers.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    free: usize,
    waiting: usize,
    lanes: HashMap<Arc<str>, Lane>,
    /// The namespaces with something due, in the order of their turns.
    turns: VecDeque<Arc<str>>,
}

impl Lanes {
    /// With so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            free: workers,
            waiting: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// A resource is due since this time. It is not in here yet.
    pub fn push(&mut self, due: Instant, key: Key) {
        let namespace = &key.namespace;
        let lane = self.lanes.entry(Arc::clone(namespace)).or_default();
        if lane.due.is_empty() {
            self.turns.push_back(Arc::clone(namespace));
        }
        lane.due.insert((due, key));
        self.waiting += 1;
    }

    /// Gives a free worker to the resource that is due longest in the namespace whose turn it is.
    pub fn take(&mut self) -> Option<Key> {
        // A namespace that may not have another worker has one at least, so few are skipped.
        let lanes = &mut self.lanes;
        let may = |name: &Arc<str>| lanes.get(name).is_some_and(|lane| lane.running < self.free);
        let position = self.turns.iter().position(may)?;
        let namespace = self.turns.remove(position)?;
        let lane = lanes.get_mut(&namespace)?;
        let (_, key) = lane.due.pop_first()?;
        lane.running += 1;
        self.free -= 1;
        self.waiting -= 1;
        if !lane.due.is_empty() {
            self.turns.push_back(namespace);
        }
        Some(key)
    }

    /// The worker of a resource is free again.
    pub fn done(&mut self, key: &Key) {
        self.free += 1;
        if let Some(lane) = self.lanes.get_mut(&key.namespace) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.due.is_empty() {
                self.lanes.remove(&key.namespace);
            }
        }
    }

    /// How many resources are due and have no worker.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn lanes(workers: usize, namespaces: &[(&str, usize)]) -> Lanes {
        let mut lanes = Lanes::new(workers);
        let mut due = Instant::now();
        for (namespace, count) in namespaces {
            for number in 0..*count {
                due += MILLISECOND;
                lanes.push(due, Key::new(namespace, &format!("{number:03}")));
            }
        }
        lanes
    }

    /// Takes until there is nothing to take.
    fn taken(lanes: &mut Lanes) -> Vec<String> {
        std::iter::from_fn(|| lanes.take())
            .map(|key| format!("{}/{}", key.namespace, key.name))
            .collect()
    }

    #[test]
    fn namespaces_take_turns_and_in_each_the_longest_due_goes_first() {
        let mut lanes = lanes(100, &[("a", 3), ("b", 1), ("c", 2)]);
        assert_eq!(lanes.waiting(), 6);
        let order = ["a/000", "b/000", "c/000", "a/001", "c/001", "a/002"];
        assert_eq!(taken(&mut lanes), order);
        assert_eq!(lanes.waiting(), 0);
    }

    #[test]
    fn whoever_asks_for_many_leaves_free_workers_to_the_next() {
        let mut lanes = lanes(16, &[("a", 64)]);
        let mut now = Instant::now();
        assert_eq!(taken(&mut lanes).len(), 8);
        for (namespace, workers) in [("b", 4), ("c", 2), ("d", 1), ("e", 1), ("f", 0)] {
            for number in 0..64 {
                now += MILLISECOND;
                lanes.push(now, Key::new(namespace, &number.to_string()));
            }
            assert_eq!(taken(&mut lanes).len(), workers, "{namespace}");
        }
        // The next free worker is for those who have none.
        lanes.done(&Key::new("a", "000"));
        assert_eq!(taken(&mut lanes), ["f/0"]);
    }

    #[test]
    fn all_workers_are_used_by_many_namespaces_and_come_back() {
        let names: Vec<String> = (0..40).map(|number| format!("ns-{number}")).collect();
        let namespaces: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut lanes = lanes(16, &namespaces);
        let mut ended = 0;
        while lanes.waiting() > 0 {
            let taken = taken(&mut lanes);
            assert!(!taken.is_empty() && (lanes.waiting() == 0 || taken.len() == 16));
            for name in taken {
                let (namespace, name) = name.split_once('/').unwrap();
                lanes.done(&Key::new(namespace, name));
                ended += 1;
            }
        }
        assert_eq!((ended, lanes.free), (40, 16));
        assert!(lanes.lanes.is_empty() && lanes.turns.is_empty());
    }
}
