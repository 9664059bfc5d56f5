//! All links of a store. A server may have room for fewer connections than they want: then those that are open do the work
//! of the others too, and only greetings may use the last of several.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::deadline::Class;

/// What links of all kinds know of each other.
#[derive(Debug, Default)]
pub struct Crew {
    /// Connections that are open.
    connected: AtomicUsize,
    /// Links that the server has no room for.
    left_out: AtomicUsize,
    running: Mutex<Running>,
    /// Wakes connections that are idle.
    wanted: Notify,
}

/// What may take long and is being run.
#[derive(Debug, Default)]
struct Running {
    lists: usize,
    writes: usize,
}

/// Counts one more for as long as it lives, also when its task panics.
#[derive(Debug)]
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// Counts one more.
    pub fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The permission to run work of one class, until it is dropped.
#[derive(Debug)]
pub struct Run<'a> {
    crew: &'a Crew,
    class: Class,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        match self.class {
            Class::Read => return,
            Class::List => self.crew.running().lists -= 1,
            Class::Write => self.crew.running().writes -= 1,
        }
        if self.crew.is_crowded() {
            self.crew.call();
        }
    }
}

impl Crew {
    /// Counts a connection that is open.
    pub fn connected(&self) -> Counted<'_> {
        Counted::new(&self.connected)
    }

    /// Whether any connection is open.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::SeqCst) > 0
    }

    /// Counts a link that the server has no room for.
    pub fn left_out(&self) -> Counted<'_> {
        let counted = Counted::new(&self.left_out);
        self.call();
        counted
    }

    /// Whether there are such links.
    pub fn is_crowded(&self) -> bool {
        self.left_out.load(Ordering::SeqCst) > 0
    }

    /// Wakes connections that are idle: there may be work for them.
    pub fn call(&self) {
        self.wanted.notify_waiters();
    }

    /// The next [`Crew::call`] from now on.
    pub fn called(&self) -> Notified<'_> {
        self.wanted.notified()
    }

    /// Permits a connection to run work of this class, if that may be now. In a crowd, one of several connections is left to
    /// greetings, and of three or more, one to writes.
    pub fn admit(&self, class: Class) -> Option<Run<'_>> {
        if class != Class::Read {
            let mut running = self.running();
            if self.has_no_place(&running, class) {
                return None;
            }
            match class {
                Class::List => running.lists += 1,
                Class::Write | Class::Read => running.writes += 1,
            }
        }
        Some(Run { crew: self, class })
    }

    /// Whether [`Crew::admit`] would permit it.
    pub fn admits(&self, class: Class) -> bool {
        class == Class::Read || !self.has_no_place(&self.running(), class)
    }

    fn has_no_place(&self, running: &Running, class: Class) -> bool {
        let connections = self.connected.load(Ordering::SeqCst);
        self.is_crowded() && running.is_too_much(class, connections)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Whether one more of this class is too much for so many connections.
    fn is_too_much(&self, class: Class, connections: usize) -> bool {
        let all_but = |left: usize| connections.saturating_sub(left).max(1);
        self.lists + self.writes >= all_but(1) || (class == Class::List && self.lists >= all_but(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is admitted one after another, in a crowd of so many connections.
    fn admitted(connections: usize, wanted: &[Class]) -> Vec<bool> {
        let crew = Crew::default();
        let _left_out = crew.left_out();
        let _connected: Vec<_> = (0..connections).map(|_| crew.connected()).collect();
        let runs: Vec<_> = wanted.iter().map(|class| crew.admit(*class)).collect();
        runs.iter().map(Option::is_some).collect()
    }

    #[test]
    fn in_a_crowd_the_last_connection_is_for_greetings_and_another_for_writes() {
        use Class::{List, Read, Write};
        let table = [
            (
                1,
                vec![(Read, true), (List, true), (Write, false), (Read, true)],
            ),
            (
                1,
                vec![(Write, true), (List, false), (Write, false), (Read, true)],
            ),
            (
                2,
                vec![(List, true), (Write, false), (List, false), (Read, true)],
            ),
            (
                3,
                vec![(List, true), (List, false), (Write, true), (Write, false)],
            ),
            (
                3,
                vec![(Write, true), (Write, true), (List, false), (Read, true)],
            ),
            (
                4,
                vec![(List, true), (List, true), (List, false), (Write, true)],
            ),
        ];
        for (connections, steps) in table {
            let (wanted, expected): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
            assert_eq!(
                admitted(connections, &wanted),
                expected,
                "{connections}: {wanted:?}"
            );
        }
    }

    #[test]
    fn without_a_crowd_everything_is_admitted_and_what_ended_counts_no_more() {
        let crew = Crew::default();
        let _connected = crew.connected();
        let runs: Vec<_> = [Class::List, Class::Write, Class::List]
            .map(|class| crew.admit(class).unwrap())
            .into();
        let left_out = crew.left_out();
        assert!(crew.admit(Class::Write).is_none());
        drop(runs);
        assert!(crew.admit(Class::Write).is_some());
        drop(left_out);
        assert!(!crew.is_crowded());
    }
}
