//! The history of one key, and the check that no acknowledged write was lost.
//!
//! A key is written and read by one client, one request after the other. A write that was not acknowledged may still take
//! effect later, also after a younger acknowledged one; everything else a read returns must be the last acknowledged value.

use std::collections::BTreeSet;

/// What a client knows about a write afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    /// Answered with success.
    Acknowledged,
    /// Never left this machine, or was refused.
    NotApplied,
    /// Cut, timed out, or answered with a server error: it may take effect now, later or never.
    Unknown,
}

/// A read that no order of the writes explains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost<V> {
    /// What could have been read.
    pub allowed: Vec<Option<V>>,
    /// What was read; `None` is "not found".
    pub read: Option<V>,
}

/// The possible states of one key.
#[derive(Clone, Debug)]
pub struct Register<V: Ord> {
    current: Option<V>,
    pending: BTreeSet<V>,
}

impl<V: Ord + Clone> Default for Register<V> {
    fn default() -> Self {
        Self {
            current: None,
            pending: BTreeSet::new(),
        }
    }
}

impl<V: Ord + Clone> Register<V> {
    /// Records a write and its outcome.
    pub fn wrote(&mut self, value: V, outcome: Write) {
        match outcome {
            Write::Acknowledged => {
                self.pending.remove(&value);
                self.current = Some(value);
            }
            Write::NotApplied => {}
            Write::Unknown => {
                self.pending.insert(value);
            }
        }
    }

    /// Records what a read returned.
    ///
    /// # Errors
    /// When neither the last acknowledged write nor a pending one explains it.
    pub fn read(&mut self, read: Option<V>) -> Result<(), Lost<V>> {
        if read == self.current {
            return Ok(());
        }
        if let Some(value) = read.as_ref().and_then(|value| self.pending.take(value)) {
            self.current = Some(value);
            return Ok(());
        }
        let mut allowed = vec![self.current.clone()];
        allowed.extend(self.pending.iter().cloned().map(Some));
        Err(Lost { allowed, read })
    }
}

#[cfg(test)]
mod tests {
    use super::Write::{Acknowledged, NotApplied, Unknown};
    use super::*;

    fn after(writes: &[(u8, Write)]) -> Register<u8> {
        let mut register = Register::default();
        for (value, outcome) in writes {
            register.wrote(*value, *outcome);
        }
        register
    }

    #[test]
    fn the_last_acknowledged_value_is_read_back() {
        let mut register = after(&[(1, Acknowledged), (2, Acknowledged)]);
        assert_eq!(register.read(Some(2)), Ok(()));
        assert!(register.read(Some(1)).is_err());
        assert!(register.read(None).is_err());
    }

    #[test]
    fn a_lost_key_names_what_was_allowed() {
        let lost = after(&[(1, Acknowledged), (2, Unknown)])
            .read(None)
            .unwrap_err();
        assert_eq!(
            lost,
            Lost {
                allowed: vec![Some(1), Some(2)],
                read: None
            }
        );
    }

    #[test]
    fn an_unknown_write_may_or_may_not_show() {
        assert_eq!(
            after(&[(1, Acknowledged), (2, Unknown)]).read(Some(1)),
            Ok(())
        );
        assert_eq!(
            after(&[(1, Acknowledged), (2, Unknown)]).read(Some(2)),
            Ok(())
        );
    }

    #[test]
    fn an_unknown_write_may_show_after_a_younger_acknowledged_one_but_only_once() {
        let mut register = after(&[(1, Unknown), (2, Acknowledged)]);
        assert_eq!(register.read(Some(2)), Ok(()));
        assert_eq!(register.read(Some(1)), Ok(()));
        assert!(
            register.read(Some(2)).is_err(),
            "going back needs another write"
        );
    }

    #[test]
    fn a_write_that_was_not_applied_never_shows() {
        let mut register = after(&[(1, Acknowledged), (2, NotApplied)]);
        assert!(register.read(Some(2)).is_err());
        assert_eq!(register.read(Some(1)), Ok(()));
    }

    #[test]
    fn an_empty_register_reads_nothing() {
        assert_eq!(after(&[]).read(None), Ok(()));
        assert!(after(&[]).read(Some(1)).is_err());
        assert_eq!(after(&[(1, Unknown)]).read(None), Ok(()));
    }
}
