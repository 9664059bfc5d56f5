//! The current day, as clients see it: the real program uses a clock that the tests move.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use serde_json::json;

use crate::support::app::App;
use crate::support::clock::SetClock;
use crate::support::postgres::{self, OWNER};

/// Zones by name with their hours before UTC: the first to begin a day, the last, and one between.
const ZONES: [(&str, i64); 3] = [("Pacific/Kiritimati", 14), ("UTC", 0), ("Etc/GMT+12", -12)];
/// Users by name, and their dates of birth.
const PEOPLE: [(&str, &str); 5] = [
    ("leap", "2000-02-29"),
    ("february", "1999-02-28"),
    ("march", "1996-03-01"),
    ("eve", "1999-12-31"),
    ("newyear", "2000-01-01"),
];

/// A service whose calendar is tested, and its clock.
struct Watched {
    app: App,
    clock: SetClock,
    offset: TimeDelta,
    leap_day: &'static str,
}

impl Watched {
    fn start(url: &str, (zone, hours): (&str, i64), leap_day: &'static str) -> Self {
        let clock = SetClock::new("2022-06-01T12:00:00Z".parse().unwrap());
        let mut variables = vec![
            ("DATABASE_URL", url),
            ("HELLO_TIME_ZONE", zone),
            ("HELLO_LEAP_DAY", leap_day),
        ];
        variables.extend(clock.variables());
        let app = App::ready(&variables);
        for (name, born) in PEOPLE {
            let answer = app.put_date(&format!("/hello/{name}"), born);
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
        Self {
            app,
            clock,
            offset: TimeDelta::hours(hours),
            leap_day,
        }
    }

    /// Moves the clock to this time of the zone.
    fn set(&self, local: &str) {
        let local: DateTime<Utc> = format!("{local}Z").parse().unwrap();
        self.clock.set(local - self.offset);
    }

    /// Asserts every greeting on `day`.
    fn assert_day(&self, day: NaiveDate) {
        for (name, born) in PEOPLE {
            let answer = self.app.get(&format!("/hello/{name}"));
            let days = days_until(born.parse().unwrap(), day, self.leap_day);
            let message = match days {
                0 => format!("Hello, {name}! Happy birthday!"),
                days => format!("Hello, {name}! Your birthday is in {days} day(s)"),
            };
            assert_eq!(answer.json(), json!({ "message": message }), "{day}");
        }
        let answer = self.app.get("/users?birthdayWithin=0");
        let listed = answer.json()["users"].as_array().map_or(0, Vec::len);
        let today = |born: &str| days_until(born.parse().unwrap(), day, self.leap_day) == 0;
        let expected = PEOPLE.iter().filter(|(_, born)| today(born)).count();
        assert_eq!(listed, expected, "{day} {}", answer.text());
        // A date of birth is before today: today is refused, and yesterday is accepted.
        let born = |days| (day - Days::new(days)).to_string();
        assert_eq!(
            self.app.put_date("/hello/baby", &born(0)).status,
            400,
            "{day}"
        );
        assert_eq!(
            self.app.put_date("/hello/baby", &born(1)).status,
            204,
            "{day}"
        );
        self.app.request("DELETE", "/hello/baby", &[], b"");
    }
}

/// Walks day by day until the birthday comes.
fn days_until(born: NaiveDate, today: NaiveDate, leap_day: &str) -> usize {
    let is_birthday = |day: NaiveDate| {
        let stands_in = match leap_day {
            "feb28" => (2, 28),
            _ => (3, 1),
        };
        let missing = (born.month(), born.day()) == (2, 29) && !day.leap_year();
        let celebrated = if missing {
            stands_in
        } else {
            (born.month(), born.day())
        };
        (day.month(), day.day()) == celebrated
    };
    today.iter_days().position(is_birthday).unwrap()
}

/// Passes each of these midnights, moves back, and passes it again.
fn walk(watched: &Watched) {
    for last in [
        "2023-02-27",
        "2023-02-28",
        "2023-03-01",
        "2023-12-30",
        "2023-12-31",
        "2024-02-27",
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
        "2024-12-31",
    ] {
        let day: NaiveDate = last.parse().unwrap();
        let next = day + Days::new(1);
        watched.set(&format!("{day}T23:59:59"));
        watched.assert_day(day);
        let before = watched.app.get("/hello/leap");
        watched.set(&format!("{next}T00:00:00"));
        watched.assert_day(next);
        let after = watched.app.get("/hello/leap");
        assert_ne!(before.header("etag"), after.header("etag"), "{day}");
        // Yesterday's greeting is fetched again, unless the clock is set back.
        let tag = [("if-none-match", before.header("etag").unwrap())];
        let revalidate = || watched.app.request("GET", "/hello/leap", &tag, b"").status;
        assert_eq!(revalidate(), 200);
        watched.set(&format!("{day}T23:59:58"));
        watched.assert_day(day);
        assert_eq!(revalidate(), 304);
        watched.set(&format!("{next}T00:00:01"));
        watched.assert_day(next);
    }
}

#[test]
fn midnight_comes_and_goes_in_every_zone_by_both_rules() {
    std::thread::scope(|scope| {
        for zone in ZONES {
            for leap_day in ["feb28", "mar1"] {
                scope.spawn(move || walk(&Watched::start("sqlite::memory:", zone, leap_day)));
            }
        }
    });
}

#[test]
fn the_clock_of_the_service_decides_not_that_of_the_database() {
    let url = postgres::shared().url(OWNER, &postgres::database());
    walk(&Watched::start(&url, ZONES[0], "mar1"));
}
