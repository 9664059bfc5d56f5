//! Lists of users, by name and by birthday, on both stores.

use chrono::{Datelike, Days, NaiveDate, Utc};
use serde_json::Value;

use crate::api::{on_both_stores, problem};
use crate::support::app::App;
use crate::support::postgres::{OWNER, Server, database, shared};

on_both_stores!(
    lists_by_name,
    searches_by_prefix,
    pages_are_stable_under_changes,
    lists_birthdays_nearest_first,
    pages_through_birthdays_of_the_whole_year,
    refuses_wrong_queries,
);

fn today() -> NaiveDate {
    Utc::now().date_naive()
}

fn names(page: &Value) -> Vec<&str> {
    page["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect()
}

fn list(app: &App, query: &str) -> Value {
    let answer = app.get(&format!("/users?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

/// All pages of a list, one after another.
fn walk(app: &App, query: &str) -> Vec<Value> {
    let mut users = Vec::new();
    let mut page = list(app, query);
    loop {
        users.extend(page["users"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else {
            return users;
        };
        page = list(app, &format!("{query}&cursor={cursor}"));
        assert!(!page["users"].as_array().unwrap().is_empty());
    }
}

fn put_all(app: &App, names: &[&str]) {
    for name in names {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204,
            "{name}"
        );
    }
}

fn lists_by_name(app: &App) {
    assert_eq!(app.get("/users").text(), r#"{"users":[]}"#);
    let in_a_week = today() + Days::new(7);
    app.put_date("/hello/bob", &in_a_week.format("2000-%m-%d").to_string());
    put_all(
        app,
        &["alice", "Zoe", "Jos%C3%A9", "%D0%98%D0%B2%D0%B0%D0%BD"],
    );
    let page = list(app, "");
    // The order of bytes, the same on both stores.
    assert_eq!(names(&page), ["José", "Zoe", "alice", "bob", "Иван"]);
    assert_eq!(
        page["users"][3],
        serde_json::json!({
            "username": "bob",
            "dateOfBirth": in_a_week.format("2000-%m-%d").to_string(),
            "daysUntilBirthday": 7,
        })
    );
    assert_eq!(page.get("nextCursor"), None);
    assert_eq!(names(&list(app, "limit=2")), ["José", "Zoe"]);
    // The page is exactly full, so there is no next one.
    assert_eq!(list(app, "limit=5").get("nextCursor"), None);
    let all = walk(app, "limit=1");
    assert_eq!(Value::from(all), page["users"]);
    let head = app.request("HEAD", "/users", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

fn searches_by_prefix(app: &App) {
    put_all(
        app,
        &[
            "al",
            "alice",
            "alicia",
            "Alice",
            "bob",
            "am",
            "Jos%C3%A9",
            "a%F0%A0%80%80",
        ],
    );
    for (prefix, expected) in [
        ("al", &["al", "alice", "alicia"][..]),
        ("alic", &["alice", "alicia"]),
        ("alicez", &[]),
        ("A", &["Alice"]),
        ("a", &["al", "alice", "alicia", "am", "a𠀀"]),
        ("Jose%CC%81", &["José"]),
        ("Jos", &["José"]),
        ("Jose", &[]),
        // No name begins with a character that is a wildcard elsewhere.
        ("%25", &[]),
        ("_", &[]),
        ("a_", &[]),
        ("al%25", &[]),
        ("*", &[]),
        ("%5C", &[]),
        ("%27", &[]),
        ("%00", &[]),
        ("a+b", &[]),
    ] {
        assert_eq!(
            names(&list(app, &format!("prefix={prefix}"))),
            expected,
            "{prefix}"
        );
    }
    assert_eq!(names(&list(app, "prefix=")).len(), 8);
    assert_eq!(walk(app, "prefix=a&limit=2").len(), 5);
    let first = list(app, "prefix=ali&limit=1");
    let cursor = first["nextCursor"].as_str().unwrap();
    // A cursor is a position among all names, also in a search.
    assert_eq!(
        names(&list(app, &format!("prefix=b&cursor={cursor}"))),
        ["bob"]
    );
    assert_eq!(
        names(&list(app, &format!("prefix=A&cursor={cursor}"))),
        [""; 0]
    );
}

fn pages_are_stable_under_changes(app: &App) {
    put_all(app, &["b", "d", "f", "h"]);
    let first = list(app, "limit=2");
    assert_eq!(names(&first), ["b", "d"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    // Before the position, at it, and after it.
    put_all(app, &["a", "da", "g"]);
    app.request("DELETE", "/hello/d", &[], b"");
    assert_eq!(
        names(&list(app, &format!("cursor={cursor}"))),
        ["da", "f", "g", "h"]
    );
}

/// Days from `today` to the next birthday, counted day by day.
fn days_until(born: NaiveDate, today: NaiveDate) -> u64 {
    let celebrated = |day: NaiveDate| {
        let leap = NaiveDate::from_ymd_opt(day.year(), 2, 29).is_some();
        (day.month(), day.day()) == (born.month(), born.day())
            || (!leap
                && (born.month(), born.day()) == (2, 29)
                && (day.month(), day.day()) == (2, 28))
    };
    (0..)
        .find(|days| celebrated(today + Days::new(*days)))
        .unwrap()
}

/// A name for each day of the year.
fn name_of(day: NaiveDate) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDE";
    [day.month0(), day.day0()]
        .map(|number| char::from(LETTERS[usize::try_from(number).unwrap()]))
        .iter()
        .collect()
}

fn put_every_day_of_a_year(app: &App) -> Vec<(String, NaiveDate)> {
    let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    let people: Vec<(String, NaiveDate)> = first
        .iter_days()
        .take_while(|day| day.year() == 2000)
        .map(|day| (name_of(day), day))
        .collect();
    for (name, day) in &people {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), &day.to_string())
                .status,
            204
        );
    }
    people
}

fn lists_birthdays_nearest_first(app: &App) {
    let people = put_every_day_of_a_year(app);
    let today = today();
    for within in [0, 1, 20, 50, 200, 366] {
        let found = walk(app, &format!("birthdayWithin={within}&limit=100"));
        let mut expected: Vec<u64> = people
            .iter()
            .map(|(_, born)| days_until(*born, today))
            .filter(|days| *days <= within)
            .collect();
        expected.sort_unstable();
        let days: Vec<u64> = found
            .iter()
            .map(|user| user["daysUntilBirthday"].as_u64().unwrap())
            .collect();
        assert_eq!(days, expected, "within {within}");
        for user in &found {
            let born: NaiveDate = user["dateOfBirth"].as_str().unwrap().parse().unwrap();
            assert_eq!(user["daysUntilBirthday"], days_until(born, today), "{user}");
        }
    }
}

fn pages_through_birthdays_of_the_whole_year(app: &App) {
    let people = put_every_day_of_a_year(app);
    // More users with one birthday than fit on a page.
    let crowd = ["Ada", "Bea", "Cleo", "Dora"];
    for name in crowd {
        app.put_date(&format!("/hello/{name}"), "1990-12-31");
    }
    let found = walk(app, "birthdayWithin=366&limit=3");
    let mut names: Vec<&str> = found
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), people.len() + crowd.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), people.len() + crowd.len());
    let place = found
        .iter()
        .position(|user| user["username"] == "Ada")
        .unwrap();
    let on_that_day: Vec<&str> = found[place..place + 4]
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(on_that_day, crowd);
}

fn refuses_wrong_queries(app: &App) {
    put_all(app, &["a", "b"]);
    let by_name = list(app, "limit=1");
    let by_name = by_name["nextCursor"].as_str().unwrap();
    let by_birthday = list(app, "birthdayWithin=366&limit=1");
    let by_birthday = by_birthday["nextCursor"].as_str().unwrap();
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        (&format!("cursor={by_birthday}"), "cursor"),
        (&format!("birthdayWithin=5&cursor={by_name}"), "cursor"),
        (&format!("cursor={by_name}x"), "cursor"),
        ("birthdayWithin=367", "birthdayWithin"),
        ("birthdayWithin=-1", "birthdayWithin"),
        ("birthdayWithin=", "birthdayWithin"),
        ("birthdayWithin=1.5", "birthdayWithin"),
        ("birthdayWithin=5&prefix=a", "prefix"),
        (&format!("prefix={}", "x".repeat(65)), "prefix"),
        ("prefix=%FF", "prefix"),
        ("prefix=%", "prefix"),
        ("birthdaywithin=5", "birthdaywithin"),
        ("x=1", "x"),
    ] {
        let answer = app.get(&format!("/users?{query}"));
        assert_eq!(problem(&answer, 400, "invalid-query"), parameter, "{query}");
    }
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let answer = app.request(method, "/users", &[], b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    problem(&app.get("/users/"), 404, "not-found");
    problem(&app.get("/users/a"), 404, "not-found");
}

#[test]
fn the_rule_for_29_february_is_kept() {
    for (rule, month, day) in [("feb28", 2, 28), ("mar1", 3, 1)] {
        let url = shared().url(OWNER, &database());
        let app = App::ready(&[("DATABASE_URL", &url), ("HELLO_LEAP_DAY", rule)]);
        app.put_date("/hello/leap", "2000-02-29");
        let stand_in = |year| {
            NaiveDate::from_ymd_opt(year, 2, 29)
                .unwrap_or_else(|| NaiveDate::from_ymd_opt(year, month, day).unwrap())
        };
        let next = [today().year(), today().year() + 1]
            .map(stand_in)
            .into_iter()
            .find(|day| *day >= today())
            .unwrap();
        let days = (next - today()).num_days();
        let found = list(&app, &format!("birthdayWithin={days}"));
        assert_eq!(names(&found), ["leap"], "{rule}");
        assert_eq!(found["users"][0]["daysUntilBirthday"], days);
        if days > 0 {
            let found = list(&app, &format!("birthdayWithin={}", days - 1));
            assert_eq!(names(&found), [""; 0], "{rule}");
        }
    }
}

/// The plans PostgreSQL has really used for statements that begin like this.
fn plans(server: &Server, statement: &str) -> Vec<String> {
    let log = server.sql(
        "postgres",
        "SELECT pg_read_file(current_setting('data_directory') || '/../log')",
    );
    log.split("Query Text: ")
        .filter(|plan| plan.starts_with(statement))
        .map(|plan| plan.split(" LOG: ").next().unwrap().to_owned())
        .collect()
}

#[test]
fn postgres_reads_lists_by_index() {
    let database = database();
    let server = shared();
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
    ] {
        server.sql(
            "postgres",
            &format!("ALTER DATABASE {database} SET {setting}"),
        );
    }
    server.sql(
        &database,
        "INSERT INTO users SELECT translate(number::text, '0123456789', 'abcdefghij'), \
             DATE '1960-01-01' + number % 20000 FROM generate_series(1, 50000) AS number; \
         INSERT INTO friendships SELECT least(username, 'b'), greatest(username, 'b'), true, true \
             FROM users WHERE username <> 'b' AND random() < 0.01; \
         ANALYZE",
    );
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
    let users = "SELECT username, date_of_birth FROM users WHERE username >=";
    let birthdays = "SELECT username, date_of_birth FROM users WHERE (((";
    let friends = "SELECT friend, asked, accepted";
    let friend_birthdays = "SELECT username, date_of_birth FROM users JOIN";
    // Often enough for PostgreSQL to prefer a generic plan.
    for _ in 0..8 {
        let page = list(&app, "prefix=bc&limit=100");
        let cursor = page["nextCursor"].as_str().unwrap();
        list(&app, &format!("prefix=b&cursor={cursor}"));
        let page = list(&app, "birthdayWithin=366&limit=100");
        let cursor = page["nextCursor"].as_str().unwrap();
        list(&app, &format!("birthdayWithin=366&cursor={cursor}"));
        assert_eq!(app.get("/users/b/friends?state=accepted").status, 200);
        assert_eq!(app.get("/users/b/friends/birthdays?within=9").status, 200);
    }
    for (statement, index) in [
        (users, "users_pkey"),
        (birthdays, "users_by_birthday"),
        (friends, "friendships_by_high"),
        (friends, "friendships_pkey"),
    ] {
        let plans = plans(server, statement);
        assert!(plans.len() >= 8, "{statement}: {} plans", plans.len());
        for plan in plans {
            assert!(plan.contains(index), "{index} is not in {plan}");
            assert!(!plan.contains("Seq Scan"), "{plan}");
            // Pages of a list of users are read in order, not sorted.
            assert!(statement == friends || !plan.contains("Sort"), "{plan}");
        }
    }
    let plans = plans(server, friend_birthdays);
    assert!(plans.len() >= 8);
    for plan in plans {
        assert!(!plan.contains("Seq Scan on users"), "{plan}");
    }
}
