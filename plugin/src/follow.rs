//! Following what the operator does, up to its end.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error::{Error, Result},
    terminal::Terminal,
    words::{duration, one_line},
};

/// Interval of looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest time for which the API server may be away.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Longest line that shows progress.
const WIDTH: usize = 100;

/// How long a command waits.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limit {
    /// Longest time to wait; what was asked for goes on without this command
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// What a look has shown.
pub enum Step<T> {
    /// How far it is.
    Going(String),
    /// It has ended, or needs something.
    Ended(T),
}

/// Looks again and again until the end, and shows how far it is. `what` goes on without us, and is named when the
/// time is over.
pub async fn follow<T>(
    what: &str,
    limit: Limit,
    terminal: &mut Terminal<'_>,
    mut look: impl AsyncFnMut() -> Result<Step<T>>,
) -> Result<T> {
    let started = Instant::now();
    let (mut answered, mut shown) = (started, String::new());
    loop {
        match look().await {
            Ok(Step::Ended(end)) => return Ok(end),
            Ok(Step::Going(text)) => {
                answered = Instant::now();
                let passed = started.elapsed().try_into().unwrap_or_default();
                let line = format!("{} ({})", one_line(&text, WIDTH), duration(passed));
                terminal.progress(&line, text != shown);
                shown = text;
            }
            // It may come back, and what was asked for goes on meanwhile.
            Err(error @ (Error::Api { .. } | Error::Silent(_))) if is_passing(&error) => {
                if answered.elapsed() > LONGEST_SILENCE {
                    return Err(error);
                }
                terminal.progress(
                    "the API server does not answer; trying again",
                    shown != "away",
                );
                shown = "away".into();
            }
            Err(error) => return Err(error),
        }
        if started.elapsed() > limit.timeout {
            return Err(Error::Refused(format!(
                "not after {}: {what}; it goes on without this command",
                humantime::format_duration(limit.timeout)
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether the same question may be answered later.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Silent(_) => true,
        Error::Api { answer, .. } => match &**answer {
            kube::Error::Api(status) => status.code >= 500 || status.code == 429,
            kube::Error::SerdeError(_) => false,
            _ => true,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn limit(seconds: u64) -> Limit {
        Limit {
            timeout: Duration::from_secs(seconds),
        }
    }

    fn failure(code: u16) -> Error {
        let status = kube::core::Status::failure("no", "x").with_code(code);
        let answer = Box::new(kube::Error::Api(Box::new(status)));
        Error::Api {
            what: "x".into(),
            answer,
        }
    }

    #[tokio::test]
    async fn it_goes_on_over_a_failure_that_passes() {
        let mut remarks = Vec::new();
        let mut terminal = Terminal::plain(io::sink(), &mut remarks, None);
        let mut looks = 0;
        let end = follow("a backup", limit(60), &mut terminal, async || {
            looks += 1;
            match looks {
                1 => Ok(Step::Going("one".into())),
                2 => Err(failure(503)),
                _ => Ok(Step::Ended(looks)),
            }
        });
        assert_eq!(end.await.unwrap(), 3);
        drop(terminal);
        let shown = String::from_utf8(remarks).unwrap();
        assert_eq!(
            shown,
            "one (0 s)\nthe API server does not answer; trying again\n"
        );
    }

    #[tokio::test]
    async fn what_does_not_pass_ends_it_and_so_does_the_time() {
        let mut terminal = Terminal::plain(io::sink(), io::sink(), None);
        let end = follow("a backup", limit(60), &mut terminal, async || {
            Err::<Step<()>, _>(failure(403))
        });
        assert!(end.await.is_err());
        let end = follow("a backup", limit(0), &mut terminal, async || {
            Ok::<Step<()>, _>(Step::Going("one".into()))
        });
        let error = end.await.unwrap_err().to_string();
        assert!(error.contains("a backup; it goes on"), "{error}");
    }
}
