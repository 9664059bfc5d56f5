//! What a run of the load client showed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::outage::{self, Span};

/// What kind of request a record is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `PUT /hello/{key}`
    Write,
    /// `GET /hello/{key}`
    Read,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Record {
    /// Write or read.
    pub kind: Kind,
    /// The user name.
    pub key: String,
    /// When, since the start of the run, and whether it succeeded.
    pub span: Span,
    /// The status, or why there was no answer.
    pub outcome: String,
}

/// What a run of the load client showed.
#[derive(Debug, Default)]
pub struct Report {
    /// Every request.
    pub records: Vec<Record>,
    /// Reads that show that an acknowledged write was lost.
    pub lost: Vec<String>,
}

impl Report {
    /// The requests that failed.
    pub fn failed(&self) -> Vec<&Record> {
        self.records
            .iter()
            .filter(|record| !record.span.ok)
            .collect()
    }

    /// The longest time without a successful request of this kind; `None` when service never came back.
    pub fn outage(&self, kind: Kind) -> Option<Duration> {
        let of_kind = self.records.iter().filter(|record| record.kind == kind);
        outage::longest(&of_kind.map(|record| record.span).collect::<Vec<_>>())
    }

    /// The longest time between two successful requests of this kind: failed and held ones alike make it long.
    pub fn silence(&self, kind: Kind) -> Duration {
        let good = self
            .records
            .iter()
            .filter(|record| record.kind == kind && record.span.ok);
        let mut ends: Vec<Duration> = good.map(|record| record.span.end).collect();
        ends.sort_unstable();
        let gaps = ends
            .iter()
            .zip(ends.iter().skip(1))
            .map(|(one, next)| *next - *one);
        gaps.max().unwrap_or_default()
    }

    /// The longest time one successful request took.
    pub fn slowest(&self) -> Duration {
        let good = self.records.iter().filter(|record| record.span.ok);
        good.map(|record| record.span.end.saturating_sub(record.span.start))
            .max()
            .unwrap_or_default()
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let show = |outage: Option<Duration>| match outage {
            Some(outage) => format!("{:.1} s", outage.as_secs_f64()),
            None => "to the end".to_owned(),
        };
        format!(
            "{} requests, {} failed, {} writes lost; unavailable for writes {}, for reads {}; slowest answer {:.1} s",
            self.records.len(),
            self.failed().len(),
            self.lost.len(),
            show(self.outage(Kind::Write)),
            show(self.outage(Kind::Read)),
            self.slowest().as_secs_f64(),
        )
    }

    /// The run did something, and no acknowledged write was lost.
    ///
    /// # Errors
    /// With the reads that show the loss.
    pub fn ensure_nothing_lost(&self) -> Result<()> {
        ensure!(!self.records.is_empty(), "the load client sent nothing");
        ensure!(
            self.lost.is_empty(),
            "acknowledged writes lost:\n{}",
            self.lost.join("\n")
        );
        Ok(())
    }

    /// As [`Report::ensure_nothing_lost`], and no request failed.
    ///
    /// # Errors
    /// With the failures, by what was answered.
    pub fn ensure_none_failed(&self) -> Result<()> {
        self.ensure_nothing_lost()?;
        let failed = self.failed();
        ensure!(
            failed.is_empty(),
            "{} of {} requests failed:\n{}",
            failed.len(),
            self.records.len(),
            self.failures()
        );
        Ok(())
    }

    /// The failures, by what was answered, each with the times of the first and the last.
    pub fn failures(&self) -> String {
        let mut groups: BTreeMap<(&str, &str), (usize, Duration, Duration)> = BTreeMap::new();
        for record in self.failed() {
            let kind = if record.kind == Kind::Write {
                "PUT"
            } else {
                "GET"
            };
            let start = record.span.start;
            let group = groups
                .entry((kind, &record.outcome))
                .or_insert((0, start, start));
            *group = (group.0 + 1, group.1.min(start), group.2.max(start));
        }
        groups.iter().fold(
            String::new(),
            |mut text, ((kind, outcome), (count, first, last))| {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "  {count} x {kind}: {outcome} ({first:.1?} to {last:.1?})"
                );
                text
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_longest_gap_between_successes_whatever_is_in_it() {
        let record = |kind, start, end, ok| Record {
            kind,
            key: "a".to_owned(),
            span: Span {
                start: Duration::from_secs(start),
                end: Duration::from_secs(end),
                ok,
            },
            outcome: String::new(),
        };
        let report = Report {
            records: vec![
                record(Kind::Write, 0, 1, true),
                record(Kind::Write, 2, 9, true),
                record(Kind::Write, 1, 3, false),
                record(Kind::Read, 3, 4, true),
                record(Kind::Write, 1, 2, true),
            ],
            lost: vec![],
        };
        assert_eq!(report.silence(Kind::Write), Duration::from_secs(7));
        assert_eq!(report.silence(Kind::Read), Duration::ZERO);
    }

    #[test]
    fn failures_are_grouped_and_fail_the_check() {
        let span = |ok| Span {
            start: Duration::ZERO,
            end: Duration::from_secs(1),
            ok,
        };
        let record = |ok, outcome: &str| Record {
            kind: Kind::Read,
            key: "a".to_owned(),
            span: span(ok),
            outcome: outcome.to_owned(),
        };
        let report = Report {
            records: vec![
                record(true, "200"),
                record(false, "503"),
                record(false, "503"),
            ],
            lost: vec![],
        };
        assert!(report.ensure_nothing_lost().is_ok());
        let message = report.ensure_none_failed().unwrap_err().to_string();
        assert!(
            message.contains("2 of 3") && message.contains("2 x GET: 503"),
            "{message}"
        );
        assert!(
            Report::default().ensure_nothing_lost().is_err(),
            "an empty run proves nothing"
        );
    }
}
