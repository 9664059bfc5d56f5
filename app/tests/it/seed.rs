//! `seed`: the same users every time, on both stores.

use std::process::Output;

use crate::support::app::{App, command};
use crate::support::postgres::{OWNER, database, shared};

fn seed(url: &str, arguments: &[&str]) -> Output {
    command(&["seed"])
        .args(arguments)
        .env("DATABASE_URL", url)
        .output()
        .unwrap()
}

/// The users that the service lists.
fn people(app: &App) -> Vec<String> {
    let mut people = Vec::new();
    let mut target = String::from("/users?limit=100");
    loop {
        let page = app.get(&target).json();
        people.extend(
            page["users"]
                .as_array()
                .unwrap()
                .iter()
                .map(ToString::to_string),
        );
        match page["nextCursor"].as_str() {
            Some(cursor) => target = format!("/users?limit=100&cursor={cursor}"),
            None => return people,
        }
    }
}

#[test]
fn fills_both_stores_with_the_same_people_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", folder.path().join("x.db").display());
    let postgres = shared().url(OWNER, &database());
    let filled = [sqlite, postgres].map(|url| {
        for _ in 0..2 {
            let output = seed(&url, &["--count", "2500", "--seed", "42"]);
            let log = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{log}");
            assert!(
                !log.contains('#'),
                "a progress bar without a terminal: {log}"
            );
        }
        let app = App::ready(&[("DATABASE_URL", &url)]);
        app.put_date("/hello/Own", "1990-01-01");
        let before = people(&app);
        assert_eq!(before.len(), 2501);
        assert!(seed(&url, &["--count=2500", "--seed=42"]).status.success());
        assert_eq!(people(&app), before);
        assert!(before.iter().any(|person| person.contains("-02-29")));
        before
    });
    assert_eq!(filled[0], filled[1]);
}

#[test]
fn reports_what_is_wrong() {
    let (server, database) = (shared(), database());
    server.sql(&database, "DROP TABLE friendships, users, _sqlx_migrations");
    let output = seed(&server.url(OWNER, &database), &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("migrate first"), "{log}");
    let output = seed("sqlite::memory:", &["--count=-1", "--seed=x"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        log.contains("(HELLO_SEED_COUNT): ") && log.contains("(HELLO_SEED): "),
        "{log}"
    );
}
