//! Friendships: who asked whom, and whether it was accepted.

use super::Username;

/// Two different people, whoever of them is named first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    low: Username,
    high: Username,
    actor_is_low: bool,
}

impl Pair {
    /// The pair of `actor`, who does something, and `other`; `None` when they are the same.
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

    /// The first of the two in the order of names.
    pub fn low(&self) -> &Username {
        &self.low
    }

    /// The second of the two in the order of names.
    pub fn high(&self) -> &Username {
        &self.high
    }

    /// Whether the one who does something is [`Pair::low`].
    pub fn actor_is_low(&self) -> bool {
        self.actor_is_low
    }

    /// What a stored row says about the pair.
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

/// A friendship that was asked for, and maybe accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friendship {
    /// Who asked.
    pub requested_by: Username,
    /// Whether the other one has accepted.
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
        // The order of bytes, as the store's collation has it.
        let case = Pair::new(name("alice"), name("Zoe")).unwrap();
        assert_eq!(case.low(), &name("Zoe"));
        assert_eq!(Pair::new(name("alice"), name("alice")), None);
    }

    #[test]
    fn a_row_tells_who_asked() {
        let pair = Pair::new(name("bob"), name("alice")).unwrap();
        assert_eq!(pair.friendship(true, false).requested_by, name("alice"));
        assert_eq!(pair.friendship(false, true).requested_by, name("bob"));
    }
}
