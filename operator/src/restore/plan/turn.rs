//! Which of the restores of one service comes first.

use hello_crds::RestorePhase;
use jiff::Timestamp;

/// A restore among those of its service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Its phase, by its status.
    pub phase: RestorePhase,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its deletion waits for the operator.
    pub held: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its name.
    pub name: String,
}

/// The first of these: the one that has begun, or else the oldest. Those that take no further step by themselves do not
/// count.
pub fn first(places: impl Iterator<Item = Place>) -> Option<Place> {
    let waiting = places.filter(|place| !place.is_over());
    waiting.min_by_key(|place| {
        let waits = place.phase == RestorePhase::Pending;
        (waits, place.created, place.name.clone())
    })
}

impl Place {
    fn is_over(&self) -> bool {
        if self.deleting {
            return !self.held;
        }
        match self.phase {
            RestorePhase::Pending
            | RestorePhase::Staging
            | RestorePhase::WaitingForConsent
            | RestorePhase::Swapping => false,
            RestorePhase::Completed
            | RestorePhase::Undoing
            | RestorePhase::Undone
            | RestorePhase::Refused
            | RestorePhase::Failed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, created: i64, phase: RestorePhase) -> Place {
        Place {
            phase,
            deleting: false,
            held: false,
            created: Timestamp::from_second(created).ok(),
            name: name.into(),
        }
    }

    fn first_of(places: &[Place]) -> Option<String> {
        first(places.iter().cloned()).map(|place| place.name)
    }

    #[test]
    fn what_has_begun_goes_on_and_then_the_oldest_begins() {
        use RestorePhase::{Completed, Pending, Staging, WaitingForConsent};
        let (old, new) = (place("b", 1, Pending), place("a", 2, Pending));
        assert_eq!(first_of(&[new, old.clone()]).unwrap(), "b");
        let same = place("c", 1, Pending);
        assert_eq!(first_of(&[same, old.clone()]).unwrap(), "b");
        for phase in [Staging, WaitingForConsent] {
            assert_eq!(first_of(&[old.clone(), place("a", 2, phase)]).unwrap(), "a");
        }
        assert_eq!(first_of(&[place("a", 0, Completed)]), None);
    }

    #[test]
    fn a_deletion_counts_as_long_as_something_is_staged() {
        for (held, expected) in [(true, Some("a".to_owned())), (false, None)] {
            let mut place = place("a", 1, RestorePhase::Failed);
            (place.deleting, place.held) = (true, held);
            assert_eq!(first_of(&[place]), expected);
        }
    }
}
