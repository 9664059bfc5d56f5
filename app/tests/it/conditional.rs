//! Entity tags and conditional requests, on both stores.

use crate::api::{on_both_stores, problem};
use crate::support::app::{App, JSON, status_at_last};
use crate::support::client::{Answer, Connection};

on_both_stores!(
    a_greeting_has_a_tag_of_its_date,
    a_representation_that_the_client_has_is_not_sent_again,
    a_failed_precondition_of_a_read_sends_no_greeting,
    a_write_takes_effect_only_in_the_expected_state,
    a_user_is_created_only_once,
    a_user_is_deleted_only_in_the_expected_state,
    other_errors_come_first,
    no_cache_answers_without_asking,
    one_of_racing_writers_that_expect_the_same_state_succeeds,
    racing_unconditional_writes_are_never_overwritten_unseen,
);

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

fn put_if(app: &App, target: &str, date: &str, condition: (&str, &str)) -> Answer {
    let body = format!(r#"{{"dateOfBirth":"{date}"}}"#);
    app.request("PUT", target, &[JSON, condition], body.as_bytes())
}

fn a_greeting_has_a_tag_of_its_date(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    let first = app.get("/hello/alice");
    assert_eq!(tag(&app.get("/hello/alice")), tag(&first));
    assert_eq!(
        tag(&app.request("HEAD", "/hello/alice", &[], b"")),
        tag(&first)
    );
    let answer = app.put_date("/hello/alice", "1990-01-02");
    // The body of a PUT is not the representation of a GET, so the answer has no tag.
    assert_eq!(answer.header("etag"), None);
    assert_ne!(tag(&app.get("/hello/alice")), tag(&first));
    assert_eq!(app.get("/hello/nobody").header("etag"), None);
}

/// Others change what a client has seen: a greeting may be kept but is asked for again, all else about people is not kept.
fn no_cache_answers_without_asking(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    app.put_date("/hello/bob", "1990-01-01");
    let stale = [("if-match", r#""x""#)];
    for (method, target, headers, status, wanted) in [
        ("GET", "/hello/alice", &[][..], 200, "private, no-cache"),
        ("HEAD", "/hello/alice", &[], 200, "private, no-cache"),
        ("GET", "/hello/alice", &stale, 412, "no-store"),
        ("GET", "/hello/nobody", &[], 404, "no-store"),
        ("HEAD", "/hello/nobody", &[], 404, "no-store"),
        ("GET", "/hello/a1", &[], 400, "no-store"),
        ("POST", "/hello/alice", &[], 405, "no-store"),
        ("PUT", "/hello/alice", &[], 415, "no-store"),
        ("GET", "/users", &[], 200, "no-store"),
        ("GET", "/users?prefix=1", &[], 200, "no-store"),
        ("GET", "/users?birthdayWithin=366", &[], 200, "no-store"),
        ("PUT", "/users/alice/friends/bob", &[], 201, "no-store"),
        ("GET", "/users/alice/friends/bob", &[], 200, "no-store"),
        ("GET", "/users/alice/friends", &[], 200, "no-store"),
        (
            "GET",
            "/users/alice/friends/birthdays",
            &[],
            200,
            "no-store",
        ),
        ("GET", "/nowhere", &[], 404, "no-store"),
    ] {
        let answer = app.request(method, target, headers, b"");
        assert_eq!(answer.status, status, "{method} {target}");
        let cache = answer.header("cache-control");
        assert_eq!(cache, Some(wanted), "{method} {target}");
    }
    for target in ["/livez", "/readyz", "/startupz", "/metrics", "/nowhere"] {
        let cache = app.admin(target);
        assert_eq!(cache.header("cache-control"), Some("no-store"), "{target}");
    }
    let mut broken = Connection::open(app.api);
    broken.send(b"GET\r\n\r\n").unwrap();
    let answer = broken.read(false).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

fn a_representation_that_the_client_has_is_not_sent_again(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    let known = tag(&app.get("/hello/alice"));
    let get = |value: &str| app.request("GET", "/hello/alice", &[("if-none-match", value)], b"");
    let weak = format!("W/{known}");
    let listed = format!(r#""x", {known}"#);
    for value in [known.as_str(), &weak, &listed, "*"] {
        let answer = get(value);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{value}");
        assert_eq!(tag(&answer), known);
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
    let head = app.request("HEAD", "/hello/alice", &[("if-none-match", &known)], b"");
    assert_eq!(head.status, 304);
    for value in [r#""x""#, "nonsense", ""] {
        assert_eq!(get(value).status, 200, "{value}");
    }
    app.put_date("/hello/alice", "1990-01-02");
    assert_eq!(get(&known).status, 200);
    app.request("DELETE", "/hello/alice", &[], b"");
    problem(&get(&known), 404, "unknown-user");
}

fn a_failed_precondition_of_a_read_sends_no_greeting(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    let known = tag(&app.get("/hello/alice"));
    let get = |value: &str| app.request("GET", "/hello/alice", &[("if-match", value)], b"");
    assert_eq!(get(&known).status, 200);
    assert_eq!(get("*").status, 200);
    for value in [r#""x""#, &format!("W/{known}"), "nonsense", ""] {
        problem(&get(value), 412, "precondition-failed");
    }
    // `If-Match` is evaluated first.
    let both = [("if-match", r#""x""#), ("if-none-match", &known)];
    let answer = app.request("GET", "/hello/alice", &both, b"");
    problem(&answer, 412, "precondition-failed");
}

fn a_write_takes_effect_only_in_the_expected_state(app: &App) {
    let put = |date, condition| put_if(app, "/hello/alice", date, condition);
    problem(
        &put("1990-01-01", ("if-match", "*")),
        412,
        "precondition-failed",
    );
    assert_eq!(app.get("/hello/alice").status, 404);
    app.put_date("/hello/alice", "1990-01-01");
    let first = tag(&app.get("/hello/alice"));
    assert_eq!(put("1990-01-02", ("if-match", &first)).status, 204);
    let second = tag(&app.get("/hello/alice"));
    let weak = format!("W/{second}");
    for value in [&first, &weak, r#""x""#, "nonsense"] {
        let answer = put("1990-01-03", ("if-match", value));
        problem(&answer, 412, "precondition-failed");
    }
    assert_eq!(tag(&app.get("/hello/alice")), second);
    let listed = format!("{first}, {second}");
    assert_eq!(put("1990-01-03", ("if-match", &listed)).status, 204);
    assert_eq!(put("1990-01-04", ("if-match", "*")).status, 204);
    // The opposite condition: unless the state is the one seen.
    let fourth = tag(&app.get("/hello/alice"));
    let answer = put("1990-01-05", ("if-none-match", &fourth));
    problem(&answer, 412, "precondition-failed");
    assert_eq!(put("1990-01-05", ("if-none-match", &first)).status, 204);
    // A write of the present value.
    let fifth = tag(&app.get("/hello/alice"));
    assert_eq!(put("1990-01-05", ("if-match", &fifth)).status, 204);
    assert_eq!(tag(&app.get("/hello/alice")), fifth);
}

fn a_user_is_created_only_once(app: &App) {
    let put = |date| put_if(app, "/hello/alice", date, ("if-none-match", "*"));
    assert_eq!(put("1990-01-01").status, 204);
    let first = tag(&app.get("/hello/alice"));
    problem(&put("1990-01-02"), 412, "precondition-failed");
    assert_eq!(tag(&app.get("/hello/alice")), first);
    // A tag that does not match also allows a user to be created.
    assert_eq!(
        put_if(app, "/hello/bob", "1990-01-01", ("if-none-match", &first)).status,
        204
    );
    assert_eq!(app.get("/hello/bob").status, 200);
}

fn a_user_is_deleted_only_in_the_expected_state(app: &App) {
    let delete = |condition| app.request("DELETE", "/hello/alice", &[condition], b"");
    problem(&delete(("if-match", "*")), 412, "precondition-failed");
    assert_eq!(delete(("if-none-match", "*")).status, 204);
    app.put_date("/hello/alice", "1990-01-01");
    let first = tag(&app.get("/hello/alice"));
    app.put_date("/hello/alice", "1990-01-02");
    let second = tag(&app.get("/hello/alice"));
    problem(&delete(("if-match", &first)), 412, "precondition-failed");
    problem(&delete(("if-none-match", "*")), 412, "precondition-failed");
    problem(
        &delete(("if-none-match", &second)),
        412,
        "precondition-failed",
    );
    assert_eq!(tag(&app.get("/hello/alice")), second);
    assert_eq!(delete(("if-match", &second)).status, 204);
    assert_eq!(app.get("/hello/alice").status, 404);
}

fn other_errors_come_first(app: &App) {
    let wrong = ("if-match", r#""x""#);
    problem(
        &put_if(app, "/hello/a1", "1990-01-01", wrong),
        400,
        "invalid-username",
    );
    problem(
        &put_if(app, "/hello/alice", "1990-13-01", wrong),
        400,
        "invalid-body",
    );
    problem(
        &app.request("GET", "/hello/alice", &[wrong], b""),
        404,
        "unknown-user",
    );
}

/// Runs `each` in as many threads as there are numbers, all at once.
fn race<T: Send>(count: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (each, start) = (&each, &start);
                scope.spawn(move || {
                    start.wait();
                    each(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn one_of_racing_writers_that_expect_the_same_state_succeeds(app: &App) {
    for round in 0..5 {
        app.put_date("/hello/alice", "1990-01-01");
        let seen = tag(&app.get("/hello/alice"));
        let target = format!("/hello/new{}", "x".repeat(round));
        let mut succeeded = race(8, |number| {
            let date = format!("1990-02-0{}", number + 1);
            let put =
                |target: &str, condition| status_at_last(|| put_if(app, target, &date, condition));
            let changed = put("/hello/alice", ("if-match", &seen));
            let made = put(&target, ("if-none-match", "*"));
            (changed, made)
        });
        succeeded.sort_unstable();
        let changed = succeeded
            .iter()
            .filter(|(status, _)| *status == 204)
            .count();
        let made = succeeded
            .iter()
            .filter(|(_, status)| *status == 204)
            .count();
        assert_eq!((changed, made), (1, 1), "{succeeded:?}");
    }
}

/// Unconditional writes run in batches, on connections of their own; a conditional one between
/// them must not overwrite any that it has not seen.
fn racing_unconditional_writes_are_never_overwritten_unseen(app: &App) {
    for round in 0..10 {
        app.put_date("/hello/alice", "1990-01-01");
        let seen = tag(&app.get("/hello/alice"));
        let statuses = race(6, |number| {
            if number < 2 {
                let condition = ("if-match", seen.as_str());
                status_at_last(|| put_if(app, "/hello/alice", "1991-01-01", condition))
            } else {
                let date = format!("1992-01-0{number}");
                status_at_last(|| app.put_date("/hello/alice", &date))
            }
        });
        assert!(statuses[2..].iter().all(|status| *status == 204));
        let conditional = tag_of(app, "1991-01-01");
        // A conditional write came first or failed, so the last one is unconditional.
        assert_ne!(
            tag(&app.get("/hello/alice")),
            conditional,
            "round {round}: {statuses:?}"
        );
    }
}

/// The tag of the greeting of a user born on `date`.
fn tag_of(app: &App, date: &str) -> String {
    app.put_date("/hello/carol", date);
    tag(&app.get("/hello/carol"))
}

#[test]
fn a_tag_is_valid_for_one_day_and_one_rule() {
    let start = |zone: &str, rule: &str| {
        let app = App::ready(&[
            ("DATABASE_URL", "sqlite::memory:"),
            ("HELLO_TIME_ZONE", zone),
            ("HELLO_LEAP_DAY", rule),
        ]);
        app.put_date("/hello/alice", "1990-01-01");
        app
    };
    // 26 hours apart: never the same day.
    let (east, west) = (start("Etc/GMT-14", "feb28"), start("Etc/GMT+12", "feb28"));
    let yesterday = tag(&west.get("/hello/alice"));
    assert_ne!(tag(&east.get("/hello/alice")), yesterday);
    let condition = [("if-none-match", yesterday.as_str())];
    assert_eq!(
        east.request("GET", "/hello/alice", &condition, b"").status,
        200
    );
    let answer = put_if(
        &east,
        "/hello/alice",
        "1990-01-02",
        ("if-match", &yesterday),
    );
    problem(&answer, 412, "precondition-failed");
    let other = start("Etc/GMT+12", "mar1");
    assert_ne!(tag(&other.get("/hello/alice")), yesterday);
}
