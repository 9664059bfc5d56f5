//! Times that were read from the cluster: anybody who may write there chooses them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The time so much later; the last one there is when that is too late. Addition by `+` panics then.
#[must_use]
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// When an object was created; `None` before it is stored.
#[must_use]
pub fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_not_passed() {
        let year: Duration = Duration::from_secs(365 * 24 * 3600);
        for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH] {
            assert_eq!(
                after(time, year).duration_since(time),
                year.try_into().unwrap()
            );
        }
        for duration in [year, Duration::MAX] {
            assert_eq!(after(Timestamp::MAX, duration), Timestamp::MAX);
        }
    }
}
