//! A clock for the real program that shows the time it is set to, and does not advance.

use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use super::printed_by;

/// A clock that can be set.
pub struct SetClock {
    file: tempfile::NamedTempFile,
}

impl SetClock {
    pub fn new(now: DateTime<Utc>) -> Self {
        let clock = Self {
            file: tempfile::NamedTempFile::new().unwrap(),
        };
        clock.set(now);
        clock
    }

    /// Moves the clock, forwards or back.
    pub fn set(&self, now: DateTime<Utc>) {
        // Written to another file and renamed, so that no partial content is read.
        let mut aside = self.file.path().as_os_str().to_owned();
        aside.push(".new");
        std::fs::write(&aside, now.format("%Y-%m-%d %H:%M:%S\n").to_string()).unwrap();
        std::fs::rename(&aside, self.file.path()).unwrap();
    }

    /// Environment that makes a program use this clock. Its timers are not changed.
    pub fn variables(&self) -> [(&str, &str); 5] {
        [
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", path(self.file.path())),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("TZ", "UTC"),
        ]
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The library that replaces the system's clock.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| printed_by("tests/fake-clock"))
}
