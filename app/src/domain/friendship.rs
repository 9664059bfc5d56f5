//! Friendships: who asked, and whether the other user has accepted.

use super::Username;

/// Two different users, in either order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    low: Username,
    high: Username,
    actor_is_low: bool,
}

impl Pair {
    /// The pair of `actor`, on whose behalf a request is made, and `other`. `None` when they are the same.
    pub fn new(actor: Username, other: Username) -> Option<Self> {
        match actor.cmp(&other) {
            std::cmp::Ordering::Less => Some(Self {
                low: actor,
                high: other,
                actor_is_low: true,
            }),
            std::cmp::Ordering::Greater => Some(Self {
                low: other,
                high: actor,
                actor_is_low: false,
            }),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// The user whose name is first in order.
    pub fn low(&self) -> &Username {
        &self.low
    }

    /// The user whose name is second in order.
    pub fn high(&self) -> &Username {
        &self.high
    }

    /// Whether the actor is [`Pair::low`].
    pub fn actor_is_low(&self) -> bool {
        self.actor_is_low
    }

    /// The user on whose behalf a request is made.
    pub fn actor(&self) -> &Username {
        if self.actor_is_low {
            &self.low
        } else {
            &self.high
        }
    }

    /// The friendship of the pair from the columns of its row.
    pub fn friendship(&self, requested_by_low: bool, accepted: bool) -> Friendship {
        let requester = if requested_by_low {
            &self.low
        } else {
            &self.high
        };
        Friendship {
            requested_by: requester.clone(),
            accepted,
        }
    }
}

/// A friendship that was asked for and may be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friendship {
    /// The user who asked.
    pub requested_by: Username,
    /// Whether the other user has accepted.
    pub accepted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::from_stored(text.into())
    }

    #[test]
    fn a_pair_has_one_order_and_an_actor() {
        let one = Pair::new(name("alice"), name("bob")).unwrap();
        let other = Pair::new(name("bob"), name("alice")).unwrap();
        assert_eq!((one.low(), one.high()), (other.low(), other.high()));
        assert!(one.actor_is_low() && !other.actor_is_low());
        assert_eq!((one.actor(), other.actor()), (one.low(), one.high()));
        // By bytes, as the store's collation orders.
        let case = Pair::new(name("alice"), name("Zoe")).unwrap();
        assert_eq!(case.low(), &name("Zoe"));
        assert_eq!(Pair::new(name("alice"), name("alice")), None);
    }

    #[test]
    fn a_row_holds_who_asked() {
        let pair = Pair::new(name("bob"), name("alice")).unwrap();
        assert_eq!(pair.friendship(true, false).requested_by, name("alice"));
        assert_eq!(pair.friendship(false, true).requested_by, name("bob"));
    }
}
