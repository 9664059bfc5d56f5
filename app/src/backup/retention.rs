//! Which dumps to keep. Pure: it sees names alone.

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::config::DumpFormat;

/// The time in a name, written such that names sort by time.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The name of a dump taken at `time`.
pub fn dump_name(format: DumpFormat, time: DateTime<Utc>) -> String {
    format!("hello-{}.{}", time.format(TIME), extension(format))
}

/// The dumps of `format` among `names` to delete: all but the newest `keep`. Other files are not ours.
pub fn expired(mut names: Vec<String>, format: DumpFormat, keep: usize) -> Vec<String> {
    names.retain(|name| is_dump_name(name, format));
    names.sort_unstable_by(|one, other| other.cmp(one));
    names.split_off(keep.min(names.len()))
}

/// Whether [`dump_name`] gives this name.
fn is_dump_name(name: &str, format: DumpFormat) -> bool {
    name.strip_prefix("hello-")
        .and_then(|rest| rest.strip_suffix(extension(format)))
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|time| NaiveDateTime::parse_from_str(time, TIME).is_ok())
}

fn extension(format: DumpFormat) -> &'static str {
    match format {
        DumpFormat::Custom => "dump",
        DumpFormat::Plain => "sql",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_oldest_go_and_nothing_else() {
        let names = owned(&[
            "hello-20260101T000000Z.dump",
            "hello-20200101T000000Z.sql",
            "hello-20260102T000000Z.dump",
            "hello-x.dump",
            "hello-20200101T000000Z.dump.gz",
            ".hello-20200101T000000Z.dump.partial",
            "hello-20200101T000000Z.dump.partial",
            "hello-20201301T000000Z.dump",
            "notes.txt",
            "hello-20251231T235959Z.dump",
        ]);
        let expired = |format, keep| expired(names.clone(), format, keep);
        assert_eq!(
            expired(DumpFormat::Custom, 2),
            ["hello-20251231T235959Z.dump"]
        );
        assert_eq!(
            expired(DumpFormat::Custom, 1),
            ["hello-20260101T000000Z.dump", "hello-20251231T235959Z.dump"]
        );
        assert_eq!(expired(DumpFormat::Custom, 3), [""; 0]);
        assert_eq!(expired(DumpFormat::Custom, 9), [""; 0]);
        assert_eq!(expired(DumpFormat::Plain, 1), [""; 0]);
    }

    proptest! {
        #[test]
        fn the_newest_are_kept(
            seconds in prop::collection::hash_set(0_i64..4_000_000_000, 0..20),
            keep in 1_usize..10,
        ) {
            let mut times: Vec<i64> = seconds.into_iter().collect();
            let name = |second: &i64| {
                dump_name(DumpFormat::Plain, DateTime::UNIX_EPOCH + TimeDelta::seconds(*second))
            };
            let expired = expired(times.iter().map(name).collect(), DumpFormat::Plain, keep);
            times.sort_unstable_by(|one, other| other.cmp(one));
            let expected: Vec<String> = times.iter().skip(keep).map(name).collect();
            prop_assert_eq!(expired, expected);
        }
    }
}
