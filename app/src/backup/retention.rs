//! Which backups to keep. Pure: it sees numbers and times alone.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, Utc};

use crate::config::BackupOptions;

/// How many backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The newest.
    pub last: usize,
    /// The newest of so many days that have one.
    pub daily: usize,
    /// The newest of so many weeks that have one.
    pub weekly: usize,
    /// The newest of so many months that have one.
    pub monthly: usize,
}

/// A backup that was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Orders the backups: a clock may be set back.
    pub sequence: u64,
    /// The time that it was made, by the clock of then.
    pub time: DateTime<Utc>,
}

impl From<&BackupOptions> for Policy {
    fn from(options: &BackupOptions) -> Self {
        Self {
            last: options.keep_last.get(),
            daily: options.keep_daily,
            weekly: options.keep_weekly,
            monthly: options.keep_monthly,
        }
    }
}

/// The numbers of those among `sets` that the policy does not keep, oldest first. The newest is always kept.
pub fn expired(sets: &[Kept], policy: Policy) -> Vec<u64> {
    let mut newest_first = sets.to_vec();
    newest_first.sort_unstable_by_key(|set| std::cmp::Reverse(set.sequence));
    let mut kept: BTreeSet<u64> = newest_first
        .iter()
        .take(policy.last.max(1))
        .map(|set| set.sequence)
        .collect();
    kept.extend(newest_of(&newest_first, policy.daily, |time| {
        (time.year(), time.ordinal())
    }));
    kept.extend(newest_of(&newest_first, policy.weekly, |time| {
        (time.iso_week().year(), time.iso_week().week())
    }));
    kept.extend(newest_of(&newest_first, policy.monthly, |time| {
        (time.year(), time.month())
    }));
    let numbers = newest_first.iter().rev().map(|set| set.sequence);
    numbers.filter(|number| !kept.contains(number)).collect()
}

/// The numbers of the newest of each of the latest `count` periods that have one.
fn newest_of<P: Ord>(
    newest_first: &[Kept],
    count: usize,
    period: impl Fn(DateTime<Utc>) -> P,
) -> Vec<u64> {
    let (mut periods, mut found) = (BTreeSet::new(), Vec::new());
    for set in newest_first {
        if found.len() == count {
            break;
        }
        if periods.insert(period(set.time)) {
            found.push(set.sequence);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn policy(last: usize, daily: usize, weekly: usize, monthly: usize) -> Policy {
        Policy {
            last,
            daily,
            weekly,
            monthly,
        }
    }

    /// Sets made at these seconds after Monday, 5 January 2026, one after the other.
    fn made_at(seconds: impl IntoIterator<Item = i64>) -> Vec<Kept> {
        let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
        let sets = seconds.into_iter().zip(1..);
        let set = |(seconds, sequence)| Kept {
            sequence,
            time: start + TimeDelta::seconds(seconds),
        };
        sets.map(set).collect()
    }

    /// The numbers of those that are kept.
    fn kept(sets: &[Kept], policy: Policy) -> Vec<u64> {
        let expired = expired(sets, policy);
        let numbers = sets.iter().map(|set| set.sequence);
        numbers.filter(|number| !expired.contains(number)).collect()
    }

    #[test]
    fn the_newest_of_each_period_stays() {
        // Every six hours for 40 days: numbers 1 to 160.
        let sets = made_at((0..160).map(|number| number * 6 * HOUR));
        assert_eq!(kept(&sets, policy(3, 0, 0, 0)), [158, 159, 160]);
        assert_eq!(kept(&sets, policy(1, 3, 0, 0)), [152, 156, 160]);
        // Saturday, 14 February is the last day.
        assert_eq!(kept(&sets, policy(1, 0, 3, 0)), [112, 140, 160]);
        assert_eq!(kept(&sets, policy(1, 0, 0, 9)), [108, 160]);
        assert_eq!(kept(&sets, policy(2, 2, 2, 2)), [108, 140, 156, 159, 160]);
    }

    #[test]
    fn numbers_decide_where_clocks_do_not() {
        // The second was made with a clock that was far ahead.
        let sets = made_at([0, 9_999 * DAY, DAY, 2 * DAY]);
        assert_eq!(kept(&sets, policy(2, 0, 0, 0)), [3, 4]);
        assert_eq!(kept(&sets, policy(1, 2, 0, 0)), [3, 4]);
        assert_eq!(expired(&[], policy(1, 1, 1, 1)), [0; 0]);
    }

    proptest! {
        #[test]
        fn a_policy_keeps_what_it_says(
            days in prop::collection::vec(-400_i64..400, 0..40),
            last in 0_usize..5, daily in 0_usize..5, weekly in 0_usize..5, monthly in 0_usize..5,
        ) {
            let sets = made_at(days.iter().map(|day| day * DAY));
            let all = policy(last, daily, weekly, monthly);
            let remaining = kept(&sets, all);
            // The newest stay, whatever their dates.
            let newest: Vec<u64> = sets.iter().rev().take(last.max(1)).map(|set| set.sequence).collect();
            prop_assert!(newest.iter().all(|number| remaining.contains(number)));
            // Not more than asked for, and all that one part of the policy alone would keep.
            prop_assert!(remaining.len() <= last.max(1) + daily + weekly + monthly);
            for part in [policy(last, 0, 0, 0), policy(1, daily, 0, 0), policy(1, 0, weekly, 0), policy(1, 0, 0, monthly)] {
                prop_assert!(kept(&sets, part).iter().all(|number| remaining.contains(number)));
            }
            // Nothing more goes when it is asked again.
            let left: Vec<Kept> = sets.iter().copied().filter(|set| remaining.contains(&set.sequence)).collect();
            prop_assert_eq!(expired(&left, all), [0_u64; 0]);
            // Room for one more never costs the newest.
            let mut more = sets.clone();
            more.extend(made_at(vec![0; sets.len() + 1]).last());
            if let Some(newest) = sets.last() && last > 1 {
                prop_assert!(!expired(&more, all).contains(&newest.sequence));
            }
        }
    }
}
