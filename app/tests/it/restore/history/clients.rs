//! Clients of a service that note what they do and see.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate, Utc};

use super::{History, Rows, Seen, Span, Write};
use crate::support::app::App;
use crate::support::client::Answer;
use crate::support::{LONG, eventually};

pub const CLIENTS: usize = 3;
/// So that they do not take the whole machine.
const PAUSE: Duration = Duration::from_millis(20);
/// A list has the names that begin with so many of the same letters: up to 26 of one client.
const NEIGHBOURS: usize = 4;
/// How many keys a client writes by turns.
const KEYS: usize = 4;
/// How often each is written: a few times, so that what is lost changes all the time. A greeting names a day of the year.
const VALUES: u64 = 4;
const FIRST: NaiveDate = NaiveDate::from_ymd_opt(1990, 1, 1).expect("it exists");

/// What all clients have in common.
#[derive(Default)]
pub struct Recorder {
    ticks: AtomicU64,
    /// By client.
    acknowledged: [AtomicUsize; CLIENTS],
    ended: AtomicBool,
    history: Mutex<History>,
}

/// A key of one client.
struct Key {
    name: String,
    written: u64,
}

impl Recorder {
    /// Does something, and when that was.
    pub fn spanned<T>(&self, action: impl FnOnce() -> T) -> (T, Span) {
        let tick = || self.ticks.fetch_add(1, Ordering::SeqCst) + 1;
        let start = tick();
        let result = action();
        let end = tick();
        (result, Span { start, end })
    }

    /// Adds to what is known.
    pub fn note(&self, add: impl FnOnce(&mut History)) {
        add(&mut self.history.lock().unwrap());
    }

    /// Waits until each client has that many more writes acknowledged. What they did before has ended then.
    pub fn more(&self, count: usize) {
        for acknowledged in &self.acknowledged {
            let now = || acknowledged.load(Ordering::Relaxed);
            let end = now() + count;
            eventually("writes are acknowledged", LONG, || now() >= end);
        }
    }

    /// Ends the clients when it is dropped.
    pub fn end_later(&self) -> impl Drop {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        End(&self.ended)
    }

    /// All that is known.
    pub fn into_history(self) -> History {
        self.history.into_inner().unwrap()
    }

    /// Writes, and reads what was written, until the end.
    pub fn client(&self, app: &App, client: usize) {
        let prefix = format!("h{}", char::from(b'a' + u8::try_from(client).unwrap()));
        let mut names = (0..).map(|number| format!("{prefix}{}", letters(number)));
        let mut keys = Vec::from_iter(names.by_ref().take(KEYS).map(Key::new));
        for turn in 0.. {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let key = &mut keys[turn % KEYS];
            let acknowledged = self.write(app, key);
            if acknowledged {
                self.acknowledged[client].fetch_add(1, Ordering::Relaxed);
            }
            self.greeting(app, &key.name);
            self.list(app, &key.name[..NEIGHBOURS]);
            if !acknowledged || key.written == VALUES {
                *key = Key::new(names.next().unwrap());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn write(&self, app: &App, key: &mut Key) -> bool {
        let value = FIRST + Days::new(key.written);
        key.written += 1;
        let path = format!("/hello/{}", key.name);
        let (answer, span) = self.spanned(|| app.put_date(&path, &value.to_string()));
        let acknowledged = is_done(&answer, &[204]);
        self.note(|history| {
            history.writes.push(Write {
                key: key.name.clone(),
                value: Some(value),
                span,
                acknowledged,
            });
        });
        acknowledged
    }

    fn greeting(&self, app: &App, key: &str) {
        let today = Utc::now().date_naive();
        let (answer, span) = self.spanned(|| app.get(&format!("/hello/{key}")));
        if !is_done(&answer, &[200, 404]) || Utc::now().date_naive() != today {
            return;
        }
        let mut rows = Rows::new();
        if answer.status == 200 {
            let day = today + Days::new(days_until(answer.json()["message"].as_str().unwrap()));
            rows.insert(key.into(), day.with_year(FIRST.year()).unwrap());
        }
        self.saw("a greeting", key, rows, span);
    }

    fn list(&self, app: &App, prefix: &str) {
        let (answer, span) = self.spanned(|| app.get(&format!("/users?limit=100&prefix={prefix}")));
        if !is_done(&answer, &[200]) {
            return;
        }
        let page = answer.json();
        assert!(page.get("nextCursor").is_none(), "{page}");
        let row = |user: &serde_json::Value| {
            let text = |name: &str| user[name].as_str().unwrap();
            (
                text("username").into(),
                text("dateOfBirth").parse().unwrap(),
            )
        };
        let rows = page["users"].as_array().unwrap().iter().map(row).collect();
        self.saw("a list", prefix, rows, span);
    }

    /// Notes what was seen of the keys that begin with `prefix`.
    pub fn saw(&self, by: &str, prefix: &str, rows: Rows, span: Span) {
        let (by, prefix) = (by.into(), prefix.into());
        self.note(|history| {
            history.seen.push(Seen {
                by,
                prefix,
                rows,
                span,
            });
        });
    }
}

impl Key {
    const fn new(name: String) -> Self {
        Self { name, written: 0 }
    }
}

/// Three of them, so that no name begins with another.
fn letters(number: u32) -> String {
    let letter =
        |power: u32| char::from(b'a' + u8::try_from(number / 26_u32.pow(power) % 26).unwrap());
    [2, 1, 0].map(letter).iter().collect()
}

/// The number of days in a greeting.
fn days_until(message: &str) -> u64 {
    let digits: String = message.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0) // happy birthday
}

/// Whether a request was done; otherwise it was refused as it should be.
fn is_done(answer: &Answer, expected: &[u16]) -> bool {
    if answer.status == 503 {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        return false;
    }
    assert!(expected.contains(&answer.status), "{}", answer.text());
    true
}
