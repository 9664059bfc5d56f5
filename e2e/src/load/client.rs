//! The load client: writes and reads greetings all the time, records every request and checks the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use http::StatusCode;
use jiff::civil::Date;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::history::{Register, Write};
use super::outage::Span;
use super::report::{Kind, Record, Report};
use crate::cluster::wait::{Seen, poll};
use crate::service::endpoint::Endpoint;
use crate::service::greeting::{self, utc_today};
use crate::service::http::{Answer, Connections, Failure, Http};

/// Keys of one worker; few, so that each is written and read often.
const KEYS: usize = 4;
/// No two runs share a key, so that each knows the whole history of its own.
static NEXT_KEY: AtomicUsize = AtomicUsize::new(0);
/// How long the service may take to answer again before the last values are read back.
const VERIFY_LIMIT: Duration = Duration::from_secs(60);

/// A running load client.
pub struct Load {
    signals: Arc<Signals>,
    workers: JoinSet<Worker>,
    endpoint: Endpoint,
}

/// The state that the running clients share with their owner.
#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    answered: AtomicUsize,
}

/// One client: its own keys, one request after the other.
struct Worker {
    http: Http,
    began: Instant,
    keys: Vec<(String, Register<Date>)>,
    report: Report,
}

impl Load {
    /// Starts `workers` clients of the API at an endpoint, half of them with pooled and half with fresh connections, each of
    /// which waits for `pause` between two requests.
    pub fn start(endpoint: impl Into<Endpoint>, workers: usize, pause: Duration) -> Self {
        let endpoint = endpoint.into();
        let signals = Arc::new(Signals::default());
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        let first_key = NEXT_KEY.fetch_add(workers * KEYS, Ordering::Relaxed);
        for index in 0..workers {
            let connections = if index % 2 == 0 {
                Connections::Pooled
            } else {
                Connections::Fresh
            };
            let worker = Worker {
                http: Http::new(endpoint.clone(), connections),
                began,
                keys: (0..KEYS)
                    .map(|key| {
                        (
                            key_name(first_key + index * KEYS + key),
                            Register::default(),
                        )
                    })
                    .collect(),
                report: Report::default(),
            };
            tasks.spawn(worker.run(index, signals.clone(), pause));
        }
        Self {
            signals,
            workers: tasks,
            endpoint,
        }
    }

    /// Waits until this many more requests have been answered: before a fault, so that there is something to lose, and
    /// after it, to see that service goes on.
    ///
    /// # Errors
    /// When they are not within a minute.
    pub async fn answered(&self, more: usize) -> Result<()> {
        let goal = self.signals.answered.load(Ordering::Relaxed) + more;
        poll(
            &format!("{more} answered requests"),
            VERIFY_LIMIT,
            async || {
                let now = self.signals.answered.load(Ordering::Relaxed);
                Ok(if now >= goal {
                    Seen::Done(())
                } else {
                    Seen::NotYet(format!("{now} of {goal}"))
                })
            },
        )
        .await
    }

    /// Stops the clients, then reads every key back.
    ///
    /// # Errors
    /// When the service does not answer within a minute, or a client panicked.
    pub async fn stop(mut self) -> Result<Report> {
        self.signals.stop.store(true, Ordering::Relaxed);
        let mut report = Report::default();
        let http = Http::new(self.endpoint.clone(), Connections::Fresh);
        while let Some(worker) = self.workers.join_next().await {
            let mut worker = worker?;
            report.records.append(&mut worker.report.records);
            report.lost.append(&mut worker.report.lost);
            for (key, mut register) in worker.keys {
                let what = format!("GET /hello/{key} to answer after the load");
                let (answer, days) = poll(&what, VERIFY_LIMIT, async || {
                    let (answer, days) = get(&http, &key).await;
                    Ok(match answer {
                        Ok(answer) if !answer.status.is_server_error() => {
                            Seen::Done((answer, days))
                        }
                        other => Seen::not_yet(other),
                    })
                })
                .await?;
                check_read(&key, &mut register, &answer, days)
                    .unwrap_or_else(|lost| report.lost.push(format!("at the end: {lost}")));
            }
        }
        Ok(report)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A scenario that fails in the middle leaves no client behind: dropping the set aborts them.
        self.signals.stop.store(true, Ordering::Relaxed);
    }
}

impl Worker {
    async fn run(mut self, index: usize, signals: Arc<Signals>, pause: Duration) -> Self {
        // Neighbouring values differ, so that a lost write shows as the value before it.
        let mut value = index * 31;
        while !signals.stop.load(Ordering::Relaxed) {
            value += 1;
            let slot = value % KEYS;
            self.write(slot, greeting::birthday(value)).await;
            sleep(pause).await;
            self.read(slot).await;
            let good = self
                .report
                .records
                .iter()
                .rev()
                .take(2)
                .filter(|record| record.span.ok);
            signals.answered.fetch_add(good.count(), Ordering::Relaxed);
            sleep(pause).await;
        }
        self
    }

    async fn write(&mut self, slot: usize, born: Date) {
        let Some((key, register)) = self.keys.get_mut(slot) else {
            return;
        };
        let start = self.began.elapsed();
        let answer = self.http.put(key, born).await;
        let (write, outcome) = match &answer {
            Ok(answer) if answer.status == StatusCode::NO_CONTENT => {
                (Write::Acknowledged, "204".to_owned())
            }
            Ok(answer) if answer.status.is_client_error() => (Write::NotApplied, describe(answer)),
            Ok(answer) => (Write::Unknown, describe(answer)),
            Err(failure @ Failure::NotSent(_)) => (Write::NotApplied, failure.to_string()),
            Err(failure @ Failure::Cut(_)) => (Write::Unknown, failure.to_string()),
        };
        register.wrote(born, write);
        let span = Span {
            start,
            end: self.began.elapsed(),
            ok: write == Write::Acknowledged,
        };
        let key = key.clone();
        self.report.records.push(Record {
            kind: Kind::Write,
            key,
            span,
            outcome,
        });
    }

    async fn read(&mut self, slot: usize) {
        let Some((key, register)) = self.keys.get_mut(slot) else {
            return;
        };
        let start = self.began.elapsed();
        let (answer, days) = get(&self.http, key).await;
        let (ok, outcome) = match &answer {
            Ok(answer) if [StatusCode::OK, StatusCode::NOT_FOUND].contains(&answer.status) => {
                if let Err(lost) = check_read(key, register, answer, days) {
                    self.report
                        .lost
                        .push(format!("{:.1?}: {lost}", self.began.elapsed()));
                }
                (true, answer.status.as_str().to_owned())
            }
            Ok(answer) => (false, describe(answer)),
            Err(failure) => (false, failure.to_string()),
        };
        let span = Span {
            start,
            end: self.began.elapsed(),
            ok,
        };
        let key = key.clone();
        self.report.records.push(Record {
            kind: Kind::Read,
            key,
            span,
            outcome,
        });
    }
}

/// The answer, and the days it may have been computed on: two around midnight.
async fn get(http: &Http, key: &str) -> (Result<Answer, Failure>, [Date; 2]) {
    let before = utc_today();
    let answer = http.get(key).await;
    (answer, [before, utc_today()])
}

/// Checks what a read returned against the key's history.
fn check_read(
    key: &str,
    register: &mut Register<Date>,
    answer: &Answer,
    days: [Date; 2],
) -> Result<(), String> {
    let mut verdict = Err(format!("{key}: not a greeting: {}", describe(answer)));
    for today in days {
        let read = match answer.status {
            StatusCode::NOT_FOUND => None,
            _ => match greeting::birthday_in(&answer.body, key, today) {
                Some(born) => Some(born),
                None => continue,
            },
        };
        verdict = register.read(read).map_err(|lost| {
            format!(
                "{key}: read {:?}, but only {:?} can be there",
                lost.read, lost.allowed
            )
        });
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

fn describe(answer: &Answer) -> String {
    format!("{} {}", answer.status.as_u16(), answer.body.trim_end())
}

/// A user name of letters only: `load`, then the number in base 26.
fn key_name(number: usize) -> String {
    let digit = |power: u32| u8::try_from(number / 26_usize.pow(power) % 26).unwrap_or(0);
    let letters = [2, 1, 0].map(|power| char::from(b'a' + digit(power)));
    format!("load{}", String::from_iter(letters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode as S;

    fn answer(status: S, body: &str) -> Answer {
        Answer {
            status,
            body: body.to_owned(),
        }
    }

    #[test]
    fn names_are_letters_and_differ() {
        let names: Vec<_> = (0..10_000).map(key_name).collect();
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(|c| c.is_ascii_lowercase()))
        );
        assert_eq!(
            names
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            10_000
        );
    }

    #[test]
    fn a_stale_greeting_is_a_lost_write() {
        let today = Date::constant(2026, 11, 21);
        let (old, new) = (greeting::birthday(3), greeting::birthday(4));
        let mut register = Register::default();
        register.wrote(old, Write::Acknowledged);
        register.wrote(new, Write::Acknowledged);
        let body = |born| format!(r#"{{"message":"{}"}}"#, greeting::text("a", born, today));
        assert_eq!(
            check_read("a", &mut register, &answer(S::OK, &body(new)), [today; 2]),
            Ok(())
        );
        assert!(check_read("a", &mut register, &answer(S::OK, &body(old)), [today; 2]).is_err());
        assert!(check_read("a", &mut register, &answer(S::NOT_FOUND, ""), [today; 2]).is_err());
        assert!(check_read("a", &mut register, &answer(S::OK, "{}"), [today; 2]).is_err());
    }

    #[test]
    fn around_midnight_both_days_count() {
        let (before, after) = (Date::constant(2026, 11, 21), Date::constant(2026, 11, 22));
        let born = greeting::birthday(100);
        let mut register = Register::default();
        register.wrote(born, Write::Acknowledged);
        for computed in [before, after] {
            let body = format!(r#"{{"message":"{}"}}"#, greeting::text("a", born, computed));
            assert_eq!(
                check_read("a", &mut register, &answer(S::OK, &body), [before, after]),
                Ok(())
            );
        }
    }
}
