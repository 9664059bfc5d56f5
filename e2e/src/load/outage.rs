//! How long a service did not answer, from the records of a load run.

use std::time::Duration;

/// One request, as times since the start of the run.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When it was sent.
    pub start: Duration,
    /// When it was answered or given up.
    pub end: Duration,
    /// Whether the answer was the wanted one.
    pub ok: bool,
}

/// The longest time without service: from the start of the first request that failed to the end of the first one,
/// sent after it, that succeeded. `None` in it means that service never came back.
///
/// Requests that overlap are common (several workers), so a success counts only when it was sent after the failure.
pub fn longest(spans: &[Span]) -> Option<Duration> {
    let mut by_start = spans.to_vec();
    by_start.sort_by_key(|span| span.start);
    let mut longest = Duration::ZERO;
    let mut index = 0;
    while let Some(failed) = by_start.iter().skip(index).position(|span| !span.ok) {
        let first = index + failed;
        let began = by_start.get(first)?.start;
        let later = by_start.iter().skip(first + 1);
        let back = later
            .filter(|span| span.ok && span.start > began)
            .map(|span| span.end)
            .min()?;
        longest = longest.max(back - began);
        // Failures sent before service was back belong to the same outage.
        index = by_start.partition_point(|span| span.start < back);
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(of: &[(u64, u64, bool)]) -> Vec<Span> {
        let ms = Duration::from_millis;
        of.iter()
            .map(|(start, end, ok)| Span {
                start: ms(*start),
                end: ms(*end),
                ok: *ok,
            })
            .collect()
    }

    #[test]
    fn all_good_is_no_outage() {
        assert_eq!(longest(&[]), Some(Duration::ZERO));
        assert_eq!(
            longest(&spans(&[(0, 5, true), (5, 9, true)])),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_success_after_it() {
        let run = spans(&[
            (0, 5, true),
            (10, 20, false),
            (20, 40, false),
            (50, 57, true),
        ]);
        assert_eq!(longest(&run), Some(Duration::from_millis(47)));
    }

    #[test]
    fn a_success_sent_before_the_failure_does_not_end_it() {
        let run = spans(&[(0, 30, true), (10, 20, false), (40, 45, true)]);
        assert_eq!(longest(&run), Some(Duration::from_millis(35)));
    }

    #[test]
    fn the_longest_of_several_counts() {
        let run = spans(&[(0, 1, false), (2, 3, true), (10, 11, false), (30, 31, true)]);
        assert_eq!(longest(&run), Some(Duration::from_millis(21)));
    }

    #[test]
    fn service_that_never_came_back_has_no_end() {
        assert_eq!(longest(&spans(&[(0, 1, true), (2, 3, false)])), None);
    }
}
