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
        sweep();
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

/// Removes what the library has shared with processes that were killed: another one of the same number would not start.
fn sweep() {
    let shared = std::fs::read_dir("/dev/shm").into_iter().flatten();
    for entry in shared.flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let process = name
            .strip_prefix("faketime_shm_")
            .or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test may have removed it meanwhile.
            let _ = std::fs::remove_file(entry.path());
        }
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
