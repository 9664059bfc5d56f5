//! What must be stored for a change to be made. The comparison is part of the statement that
//! writes: nobody gets between the two.

use chrono::NaiveDate;

use crate::domain::DateOfBirth;

/// States of a user under which a change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Whether there may be no such user.
    pub absent: bool,
    /// Dates of birth, of which the user may or may not have one.
    pub dates: Vec<DateOfBirth>,
    /// Whether the dates are those that the user may have, rather than those that it may not.
    pub listed: bool,
}

impl Precondition {
    /// The user has one of these dates of birth.
    pub fn one_of(dates: Vec<DateOfBirth>) -> Self {
        Self {
            absent: false,
            dates,
            listed: true,
        }
    }

    /// There is such a user.
    pub fn exists() -> Self {
        Self {
            absent: false,
            ..Self::none_of(Vec::new())
        }
    }

    /// There is no such user.
    pub fn absent() -> Self {
        Self {
            absent: true,
            ..Self::one_of(Vec::new())
        }
    }

    /// The user has none of these dates of birth, or there is no such user.
    pub fn none_of(dates: Vec<DateOfBirth>) -> Self {
        Self {
            absent: true,
            dates,
            listed: false,
        }
    }

    /// Both this and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let absent = self.absent && other.absent;
        let (dates, listed) = match (self.listed, other.listed) {
            (false, false) => ([self.dates, other.dates].concat(), false),
            (true, _) => (filter(self.dates, &other), true),
            (false, true) => (filter(other.dates, &self), true),
        };
        Self {
            absent,
            dates,
            listed,
        }
    }

    /// Whether a change is made to a user with this date of birth, or to none.
    pub fn allows(&self, stored: Option<DateOfBirth>) -> bool {
        match stored {
            None => self.absent,
            Some(born) => self.dates.contains(&born) == self.listed,
        }
    }

    /// Whether there is no state at all under which a change is made.
    pub fn is_never_met(&self) -> bool {
        !self.absent && self.listed && self.dates.is_empty()
    }

    /// The dates as databases take them.
    pub(super) fn stored_dates(&self) -> Vec<NaiveDate> {
        self.dates.iter().map(|born| born.as_date()).collect()
    }
}

fn filter(mut dates: Vec<DateOfBirth>, by: &Precondition) -> Vec<DateOfBirth> {
    dates.retain(|born| by.allows(Some(*born)));
    dates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(days: &[i64]) -> Vec<DateOfBirth> {
        let first = NaiveDate::from_ymd_opt(1990, 1, 1).unwrap();
        days.iter()
            .map(|day| DateOfBirth::from_stored(first + chrono::TimeDelta::days(*day)))
            .collect()
    }

    #[test]
    fn both_hold_exactly_where_each_holds() {
        let each = [
            Precondition::exists(),
            Precondition::absent(),
            Precondition::one_of(dates(&[])),
            Precondition::one_of(dates(&[1, 2])),
            Precondition::one_of(dates(&[2, 3])),
            Precondition::none_of(dates(&[2])),
            Precondition::none_of(dates(&[3, 1])),
        ];
        let states: Vec<Option<DateOfBirth>> = std::iter::once(None)
            .chain(dates(&[0, 1, 2, 3]).into_iter().map(Some))
            .collect();
        for one in &each {
            for other in &each {
                let both = one.clone().and(other.clone());
                for state in &states {
                    assert_eq!(
                        both.allows(*state),
                        one.allows(*state) && other.allows(*state),
                        "{one:?} and {other:?} for {state:?}"
                    );
                }
                assert!(!both.is_never_met() || !states.iter().any(|state| both.allows(*state)));
            }
        }
        assert!(
            Precondition::exists()
                .and(Precondition::absent())
                .is_never_met()
        );
    }
}
