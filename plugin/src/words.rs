//! Times, sizes and texts for people.

use hello_crds::names;
use jiff::{SignedDuration, Timestamp};

/// A text without what steers a terminal or turns its direction: it may be anybody's.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let replaced = |c: char| if steers(c) { '\u{fffd}' } else { c };
    text.chars().map(replaced).collect()
}

/// The same on one line, at most `length` characters long.
pub fn one_line(text: &str, length: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&words.join(" "));
    if line.chars().count() <= length {
        return line;
    }
    let start: String = line.chars().take(length.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// A length of time in its largest unit, such as `5 min`.
pub fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A moment beside now, such as `3 h ago`. What is no time is shown as it is.
pub fn moment(text: &str, now: Timestamp) -> String {
    let Ok(time) = text.parse::<Timestamp>() else {
        return one_line(text, 40);
    };
    if time > now {
        format!("in {}", duration(time.duration_since(now)))
    } else {
        format!("{} ago", duration(now.duration_since(time)))
    }
}

/// A number of bytes in its largest unit.
pub fn bytes(count: i64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in units {
        if count >= unit {
            let tenths = i128::from(count) * 10 / i128::from(unit);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} B")
}

/// A number of things.
pub fn count(number: i64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Where the backups of a service are, and how their files are listed.
pub fn destination(service: &hello_crds::HelloService, namespace: &str) -> Option<String> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let backup = service.spec.wanted_backup()?;
    Some(match &backup.destination.s3 {
        Some(s3) => {
            let own = names::usual_prefix(namespace, name);
            let prefix = s3.prefix.as_ref().unwrap_or(&own);
            format!("bucket {}, prefix {prefix}", s3.bucket)
        }
        None => format!("volume claim {}", names::backup(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_matters() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-01-01T23:59:59Z", "1 s ago"),
            ("2026-01-02T00:00:00Z", "0 s ago"),
            ("2026-01-01T23:55:00Z", "5 min ago"),
            ("2026-01-01T21:00:00Z", "3 h ago"),
            ("2025-12-25T00:00:00Z", "8 d ago"),
            ("2026-01-02T01:00:00Z", "in 60 min"),
            ("soon\u{7}", "soon\u{fffd}"),
        ] {
            assert_eq!(moment(time, now), expected);
        }
    }

    #[test]
    fn sizes_and_numbers_are_for_people() {
        for (size, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (3 << 30, "3.0 GiB"),
            (i64::MAX, "8589934591.9 GiB"),
            (-1, "-1 B"),
        ] {
            assert_eq!(bytes(size), expected);
        }
        assert_eq!(count(1, "row") + &count(0, "row"), "1 row0 rows");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(one_line("a\n b", 9), "a b");
        assert_eq!(one_line("ääääää", 4), "äää…");
    }
}
