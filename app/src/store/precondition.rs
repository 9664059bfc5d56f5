//! What must be stored for a change to be made. The comparison is part of the statement that writes: no
//! other change comes between the two.

use crate::domain::{DateOfBirth, MonthDay};

/// States of a user under which a change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Whether there may be no such user.
    pub absent: bool,
    /// Birthdays, of which the user may or may not have one.
    pub days: Vec<MonthDay>,
    /// Whether the days are those that the user may have, rather than those that it may not.
    pub listed: bool,
}

impl Precondition {
    /// The user has one of these birthdays.
    pub fn one_of(days: Vec<MonthDay>) -> Self {
        Self {
            absent: false,
            days,
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

    /// The user has none of these birthdays, or there is no such user.
    pub fn none_of(days: Vec<MonthDay>) -> Self {
        Self {
            absent: true,
            days,
            listed: false,
        }
    }

    /// Both this and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let absent = self.absent && other.absent;
        let (days, listed) = match (self.listed, other.listed) {
            (false, false) => ([self.days, other.days].concat(), false),
            (true, _) => (filter(self.days, &other), true),
            (false, true) => (filter(other.days, &self), true),
        };
        Self {
            absent,
            days,
            listed,
        }
    }

    /// Whether a change is made to a user with this date of birth, or to none.
    pub fn allows(&self, stored: Option<DateOfBirth>) -> bool {
        match stored {
            None => self.absent,
            Some(born) => self.days.contains(&MonthDay::from_date(born.as_date())) == self.listed,
        }
    }

    /// Whether there is no state at all under which a change is made.
    pub fn is_never_met(&self) -> bool {
        !self.absent && self.listed && self.days.is_empty()
    }

    /// The days as the database numbers them.
    pub(super) fn numbers(&self) -> Vec<i16> {
        self.days.iter().map(|day| day.number()).collect()
    }
}

fn filter(mut days: Vec<MonthDay>, by: &Precondition) -> Vec<MonthDay> {
    days.retain(|day| by.days.contains(day) == by.listed);
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(numbers: &[i16]) -> Vec<MonthDay> {
        let day = |number: &i16| MonthDay::from_number(100 + number).unwrap();
        numbers.iter().map(day).collect()
    }

    fn born(year: i32, number: u32) -> DateOfBirth {
        DateOfBirth::from_stored(chrono::NaiveDate::from_ymd_opt(year, 1, number).unwrap())
    }

    #[test]
    fn both_hold_exactly_where_each_holds() {
        let each = [
            Precondition::exists(),
            Precondition::absent(),
            Precondition::one_of(days(&[])),
            Precondition::one_of(days(&[1, 2])),
            Precondition::one_of(days(&[2, 3])),
            Precondition::none_of(days(&[2])),
            Precondition::none_of(days(&[3, 1])),
        ];
        let states: Vec<Option<DateOfBirth>> = std::iter::once(None)
            .chain((1..=4).map(|number| Some(born(1990, number))))
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
