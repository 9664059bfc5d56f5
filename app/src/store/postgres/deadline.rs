//! When a statement may still run. Everything follows from one number: how long a caller waits.
//!
//! - A write is accepted only in the first half of that time.
//! - The server may begin with it until three quarters of the time are over, by the server's own clock:
//!   the statement itself compares, and does nothing when it is late. A statement that is delayed in
//!   the network, and whose callers got an error, would otherwise revert what they have written since.
//! - It has to be done when seven eighths are over: it waits for locks only so long, and compares again at its end, when
//!   it holds all locks that it needs. What is not done by then is rolled back, before its callers get an error.
//! - A list has the whole time, the wait for a connection included: the server ends it when seven eighths are over.
//! - A read is waited for half of the time, which leaves the other half to run it once more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// What work does, and so how much time it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads little: there is time to run it once more.
    Read,
    /// Reads much: one run may take all the time that a caller waits.
    List,
    /// Writes, and may wait for locks.
    Write,
}

/// How long callers wait for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Duration);

impl Deadline {
    /// Callers wait for `wait` at most.
    pub fn new(wait: Duration) -> Self {
        Self(wait)
    }

    /// How long a caller waits.
    pub fn wait(self) -> Duration {
        self.0
    }

    /// Whether enough time is left, at `now`, to begin with what was queued at `queued`.
    pub fn admits(self, class: Class, queued: Instant, now: Instant) -> bool {
        let waited = now.saturating_duration_since(queued);
        match class {
            Class::Read => true,
            Class::List => waited <= self.0 * 3 / 4,
            Class::Write => self.leaves_half(queued, now),
        }
    }

    /// Whether half of the time is left, at `now`, of what was queued at `queued`: a whole one for another run of a read.
    pub fn leaves_half(self, queued: Instant, now: Instant) -> bool {
        now.saturating_duration_since(queued) <= self.0 / 2
    }

    /// The times of a statement that is sent at `now`, the oldest caller of which came at `oldest`.
    pub fn window(self, class: Class, oldest: Instant, now: Instant) -> Window {
        match class {
            Class::Read => Window {
                start_by: now,
                done_by: now + self.limit(class),
                end: now + self.0 / 2,
            },
            Class::List => Window {
                start_by: oldest,
                done_by: oldest + self.limit(class),
                end: oldest + self.0,
            },
            Class::Write => Window {
                start_by: oldest + self.0 * 3 / 4,
                done_by: oldest + self.0 * 7 / 8,
                end: oldest + self.0,
            },
        }
    }

    /// The longest time that the server may spend on a statement. That of one that reads ends before the wait for the answer
    /// does, so that the connection stays usable.
    pub fn limit(self, class: Class) -> Duration {
        match class {
            Class::Read => self.0 / 2 * 7 / 8,
            Class::List => self.0 * 7 / 8,
            Class::Write => self.0,
        }
    }
}

/// The times of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The last moment at which the server may begin, if the statement writes.
    pub start_by: Instant,
    /// The last moment at which the server may be done.
    pub done_by: Instant,
    /// The end of waiting for the answer.
    pub end: Instant,
}

/// The clock of a server, as its answers show it.
#[derive(Debug)]
pub struct ServerClock {
    base: Instant,
    /// The time of the server at `base`, in microseconds since 1970.
    at_base: AtomicI64,
}

impl ServerClock {
    /// The clock that showed `time` in an answer that was received at `received`.
    pub fn new(time: DateTime<Utc>, received: Instant) -> Self {
        Self {
            base: received,
            at_base: AtomicI64::new(time.timestamp_micros()),
        }
    }

    /// The time of the server at `instant`, or a little earlier: by the time that the answer took.
    pub fn at(&self, instant: Instant) -> DateTime<Utc> {
        let time = self.at_base.load(Ordering::Relaxed);
        let time = time.saturating_add(self.since_base(instant));
        // Only ten thousands of years ahead would it overflow.
        DateTime::from_timestamp_micros(time).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Notes that it showed `time` between `sent` and `received`. What is known already stays as long as that is possible: a
    /// statement may have waited a while between reading the clock and its answer.
    pub fn observe(&self, time: DateTime<Utc>, sent: Instant, received: Instant) {
        let at_base = |instant| time.timestamp_micros() - self.since_base(instant);
        let possible = at_base(received)..=at_base(sent);
        if !possible.contains(&self.at_base.load(Ordering::Relaxed)) {
            self.at_base.store(*possible.start(), Ordering::Relaxed);
        }
    }

    /// In microseconds; negative when `instant` is earlier.
    fn since_base(&self, instant: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match instant.checked_duration_since(self.base) {
            Some(later) => micros(later),
            None => -micros(self.base.duration_since(instant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WAIT: Duration = Duration::from_secs(2);

    #[test]
    fn writes_are_accepted_in_the_first_half() {
        let (deadline, now) = (Deadline::new(WAIT), Instant::now());
        let after =
            |millis| deadline.admits(Class::Write, now, now + Duration::from_millis(millis));
        assert!(after(0));
        assert!(after(1000));
        assert!(!after(1001));
        assert!(
            deadline.admits(Class::Write, now + WAIT, now),
            "clocks may step"
        );
    }

    #[test]
    fn a_write_that_is_accepted_can_begin_and_is_answered_before_its_caller_leaves() {
        let (deadline, queued) = (Deadline::new(WAIT), Instant::now());
        let window = deadline.window(Class::Write, queued, queued);
        let last_accepted = queued + WAIT / 2;
        assert!(deadline.admits(Class::Write, queued, last_accepted));
        assert!(last_accepted < window.start_by);
        assert!(window.start_by < window.done_by);
        assert!(window.done_by < window.end);
        assert_eq!(window.end, queued + deadline.wait());
    }

    #[test]
    fn a_list_that_is_accepted_has_some_time() {
        let (deadline, queued) = (Deadline::new(WAIT), Instant::now());
        let window = deadline.window(Class::List, queued, queued);
        assert!(deadline.admits(Class::List, queued, queued));
        assert!(!deadline.admits(Class::List, queued, window.done_by));
        let last_accepted = queued + WAIT * 3 / 4;
        assert!(deadline.admits(Class::List, queued, last_accepted));
        assert!(last_accepted < window.done_by && window.done_by < window.end);
    }

    #[test]
    fn a_read_leaves_time_for_another() {
        let (deadline, now) = (Deadline::new(WAIT), Instant::now());
        let first = deadline.window(Class::Read, now, now);
        assert!(first.done_by < first.end);
        let second = deadline.window(Class::Read, now, first.end);
        assert_eq!(second.end, now + WAIT);
    }

    #[test]
    fn the_clock_of_the_server_runs_on_here() {
        let (time, received) = (DateTime::UNIX_EPOCH, Instant::now());
        let clock = ServerClock::new(time, received);
        assert_eq!(clock.at(received), time);
        let seconds = TimeDelta::seconds;
        assert_eq!(clock.at(received + SECOND * 3), time + seconds(3));
        assert_eq!(clock.at(received - SECOND * 3), time - seconds(3));
    }

    #[test]
    fn a_step_of_the_servers_clock_is_noticed_by_any_answer_and_a_slow_answer_is_none() {
        let (time, start) = (DateTime::UNIX_EPOCH, Instant::now());
        let seconds = TimeDelta::seconds;
        let clock = ServerClock::new(time, start);
        // Sent 10 s later, read by the server 1 s later still, and answered after 5 s.
        let (sent, received) = (start + SECOND * 10, start + SECOND * 15);
        for (shown, expected) in [
            // The server and this program agree, or the clock was read first, or last.
            (11, 15),
            (10, 15),
            (15, 15),
            // Set back, and ahead. It could be more: then statements begin too late for the server, not too early.
            (-49, -49),
            (76, 76),
            (-49, -49),
        ] {
            clock.observe(time + seconds(shown), sent, received);
            assert_eq!(clock.at(received), time + seconds(expected), "{shown}");
        }
    }
}
