use super::*;

fn last(schedule: &str, zone: &str, now: &str) -> String {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
    let schedule = Schedule::parse(schedule).unwrap();
    let last = schedule.last(now.parse().unwrap(), &zone);
    last.map_or_else(String::new, |last| last.to_string())
}

#[test]
fn what_kubernetes_refuses_is_refused_and_the_field_is_named() {
    for (text, words) in [
        ("", "five fields"),
        ("daily", "five fields"),
        ("@every 1h", "five fields"),
        ("@reboot", "five fields"),
        ("0 2 * *", "five fields"),
        ("0 0 2 * * *", "five fields"),
        ("TZ=UTC 0 2 * * *", "five fields"),
        ("60 2 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 32 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * foo *", "month"),
        // Sunday is 0 only.
        ("0 0 * * 7", "day of week"),
        ("0 0 * * mon-7", "day of week"),
        ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "step of 0"),
        ("1-2-3 * * * *", "minute"),
        ("*/5/2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("999 * * * *", "minute"),
        ("0 0 L * *", "day of month"),
        ("0 0 * * 1#2", "day of week"),
        ("0 2 30 2 *", "never fires"),
        ("0 2 31 4,6,9,11 *", "never fires"),
        (", 2 * * *", "never fires"),
    ] {
        let problem = Schedule::parse(text).unwrap_err();
        assert!(problem.contains(words), "{text}: {problem}");
    }
}

#[test]
fn what_kubernetes_takes_is_taken() {
    for text in [
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
        "0 2 * * *",
        "*/5 1-3,5 ? JAN Sun",
        "5/15 00 01 1 0-6",
        "0 2 29 2 *",
        "0 2 31 12 *",
        "0 2 30 2 1",
        "*/90 * * * *",
        ",1 * * * *",
    ] {
        assert_eq!(Schedule::parse(text).unwrap().as_str(), text);
    }
}

#[test]
fn the_last_start_is_the_latest_one_that_is_not_in_the_future() {
    let now = "2026-03-04T02:00:00Z"; // a Wednesday
    for (schedule, expected) in [
        ("0 2 * * *", "2026-03-04T02:00:00Z"),
        ("1 2 * * *", "2026-03-03T02:01:00Z"),
        ("*/7 * * * *", "2026-03-04T02:00:00Z"),
        ("*/7 1 * * *", "2026-03-04T01:56:00Z"),
        ("30/10 0 * * *", "2026-03-04T00:50:00Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ("@weekly", "2026-03-01T00:00:00Z"),
        ("@monthly", "2026-03-01T00:00:00Z"),
        ("@yearly", "2026-01-01T00:00:00Z"),
        // Both given: one of them is enough.
        ("0 0 2 * fri", "2026-03-02T00:00:00Z"),
        ("0 0 1 * 2", "2026-03-03T00:00:00Z"),
        // With a star, both count. A step takes the star away, except the step 1.
        ("0 0 * * 2", "2026-03-03T00:00:00Z"),
        ("0 0 */1 * 2", "2026-03-03T00:00:00Z"),
        ("0 0 */2 * 2", "2026-03-03T00:00:00Z"),
        ("0 0 */3 * 5", "2026-03-04T00:00:00Z"),
    ] {
        assert_eq!(last(schedule, "UTC", now), expected, "{schedule}");
    }
}

#[test]
fn between_the_last_start_and_the_next_there_is_none() {
    let zone = jiff::tz::TimeZoneDatabase::bundled()
        .get("Europe/Berlin")
        .unwrap();
    for schedule in [
        "0 2 * * *",
        "30 2 * * *",
        "*/7 * * * *",
        "0 0 29 2 *",
        "@weekly",
    ] {
        let schedule = Schedule::parse(schedule).unwrap();
        for now in [
            "2026-03-28T23:59:59Z",
            "2026-03-29T01:30:00Z",
            "2026-10-25T00:30:00Z",
        ] {
            let now = now.parse().unwrap();
            let (last, next) = (schedule.last(now, &zone), schedule.next(now, &zone));
            let next = next.unwrap();
            assert!(next > now, "{schedule:?} {now}");
            assert_eq!(schedule.last(next, &zone), Some(next), "{schedule:?} {now}");
            let before = next
                .checked_sub(jiff::SignedDuration::from_secs(1))
                .unwrap();
            assert_eq!(schedule.last(before, &zone), last, "{schedule:?} {now}");
        }
    }
}

#[test]
fn the_clock_of_the_zone_counts_also_when_it_changes() {
    let berlin = |schedule: &str, now: &str| last(schedule, "Europe/Berlin", now);
    assert_eq!(
        berlin("0 2 * * *", "2026-01-10T12:00:00Z"),
        "2026-01-10T01:00:00Z"
    );
    assert_eq!(
        berlin("0 2 * * *", "2026-07-10T12:00:00Z"),
        "2026-07-10T00:00:00Z"
    );
    // On 2026-03-29 there is no 02:30, and on 2026-10-25 there are two.
    assert_eq!(
        berlin("30 2 * * *", "2026-03-29T12:00:00Z"),
        "2026-03-28T01:30:00Z"
    );
    assert_eq!(
        berlin("30 2 * * *", "2026-10-25T12:00:00Z"),
        "2026-10-25T01:30:00Z"
    );
    assert_eq!(
        berlin("30 2 * * *", "2026-10-25T01:00:00Z"),
        "2026-10-25T00:30:00Z"
    );
    // The day of the zone is not that of UTC.
    assert_eq!(
        last("0 1 * * 3", "Pacific/Auckland", "2026-03-03T12:30:00Z"),
        "2026-03-03T12:00:00Z"
    );
}

#[test]
fn a_time_before_all_others_has_no_start() {
    let schedule = Schedule::parse("@daily").unwrap();
    let first = Timestamp::MIN;
    let _ = schedule.last(first, &TimeZone::UTC);
    assert!(schedule.last(Timestamp::MAX, &TimeZone::UTC).is_some());
}
