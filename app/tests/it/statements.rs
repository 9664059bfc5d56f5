//! What the service's statements leave in PostgreSQL, and how the server runs them.

use crate::support::app::{App, JSON, command};
use crate::support::client::Answer;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::session::Session;
use crate::support::{LONG, eventually};

/// A tag of no greeting.
const OTHER_TAG: &str = r#""x""#;

struct Service {
    app: App,
    database: String,
}

impl Service {
    fn new() -> Self {
        let (server, database) = (postgres::shared(), postgres::database());
        let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
        Self { app, database }
    }

    fn sql(&self, sql: &str) -> String {
        postgres::shared().sql(&self.database, sql)
    }

    fn put(&self, name: &str, date: &str) {
        let answer = self.app.put_date(&format!("/hello/{name}"), date);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// Where the row of a user is, which changes whenever it is written.
    fn row(&self, name: &str) -> String {
        self.sql(&format!(
            "SELECT date_of_birth, ctid, xmin FROM users WHERE username = '{name}'"
        ))
    }

    /// The same of all friendships.
    fn friendships(&self) -> String {
        self.sql("SELECT low, high, requested_by_low, accepted, ctid, xmin FROM friendships")
    }

    fn tag(&self, name: &str) -> String {
        let answer = self.app.get(&format!("/hello/{name}"));
        answer.header("etag").unwrap().to_owned()
    }

    /// The answer of a request that waits for another transaction, which has run `sql` and then commits.
    fn behind(&self, sql: &str, request: &(dyn Fn() -> Answer + Sync)) -> Answer {
        let mut other = Session::open(postgres::shared(), OWNER, "secret", &self.database);
        other.run(&format!("BEGIN; {sql}")).unwrap();
        std::thread::scope(|scope| {
            let answer = scope.spawn(request);
            eventually("the request waits", LONG, || {
                self.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name = 'hello-app' AND wait_event_type = 'Lock'",
                ) == "1"
            });
            other.run("COMMIT").unwrap();
            answer.join().unwrap()
        })
    }
}

fn put_if(app: &App, name: &str, date: &str, condition: (&str, &str)) -> Answer {
    let body = format!(r#"{{"dateOfBirth":"{date}"}}"#);
    let target = format!("/hello/{name}");
    app.request("PUT", &target, &[JSON, condition], body.as_bytes())
}

fn delete_if(app: &App, name: &str, condition: (&str, &str)) -> Answer {
    app.request("DELETE", &format!("/hello/{name}"), &[condition], b"")
}

fn friendship(user: &str, friend: &str) -> String {
    format!("/users/{user}/friends/{friend}")
}

fn befriend(app: &App, user: &str, friend: &str) -> Answer {
    app.request("PUT", &friendship(user, friend), &[], b"")
}

#[test]
fn a_date_that_is_stored_already_is_not_written_again() {
    let service = Service::new();
    for name in ["alice", "bob"] {
        service.put(name, "1990-01-01");
    }
    let (alice, bob) = (service.row("alice"), service.row("bob"));
    std::thread::scope(|scope| {
        for name in ["alice", "bob"] {
            for _ in 0..10 {
                scope.spawn(|| service.put(name, "1990-01-01"));
            }
        }
    });
    assert_eq!(service.row("alice"), alice);
    service.put("bob", "1990-01-02");
    assert!(service.row("bob").starts_with("1990-01-02"));
    service.put("bob", "1990-01-01");
    let again = service.row("bob");
    assert!(
        again != bob && again.starts_with("1990-01-01"),
        "{again} after {bob}"
    );
}

#[test]
fn a_conditional_change_that_changes_nothing_writes_no_row() {
    let service = Service::new();
    service.put("alice", "1990-01-01");
    let (alice, tag) = (service.row("alice"), service.tag("alice"));
    let date = "1990-01-01";
    for (condition, status) in [
        (("if-match", tag.as_str()), 204),
        (("if-match", "*"), 204),
        (("if-match", OTHER_TAG), 412),
        (("if-none-match", OTHER_TAG), 204),
        (("if-none-match", &tag), 412),
        (("if-none-match", "*"), 412),
    ] {
        let answer = put_if(&service.app, "alice", date, condition);
        assert_eq!(answer.status, status, "{condition:?}: {}", answer.text());
        assert_eq!(service.row("alice"), alice, "{condition:?}");
        let answer = delete_if(&service.app, "nobody", condition);
        let status = if condition.0 == "if-match" { 412 } else { 204 };
        assert_eq!(answer.status, status, "{condition:?}: {}", answer.text());
    }
    // The tag does not tell the year, but the row does.
    for (condition, date) in [
        (("if-match", tag.as_str()), "1991-01-01"),
        (("if-none-match", OTHER_TAG), "1992-01-01"),
    ] {
        let answer = put_if(&service.app, "alice", date, condition);
        assert_eq!(answer.status, 204, "{condition:?}: {}", answer.text());
        assert!(service.row("alice").starts_with(date), "{condition:?}");
    }
}

#[test]
fn a_friend_request_that_changes_nothing_writes_no_row() {
    let service = Service::new();
    for name in ["alice", "bob"] {
        service.put(name, "1990-01-01");
    }
    // Both orders of names, asked and accepted.
    for (one, other) in [("alice", "bob"), ("bob", "alice")] {
        assert_eq!(befriend(&service.app, one, other).status, 201);
        let asked = service.friendships();
        assert_eq!(befriend(&service.app, one, other).status, 200);
        assert_eq!(service.friendships(), asked);
        assert_eq!(befriend(&service.app, other, one).status, 200);
        let accepted = service.friendships();
        assert_ne!(accepted, asked);
        for (user, friend) in [(one, other), (other, one)] {
            let answer = befriend(&service.app, user, friend);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.json()["state"], "accepted");
            assert_eq!(answer.json()["requestedBy"], one);
        }
        assert_eq!(service.friendships(), accepted);
        let target = friendship(one, other);
        assert_eq!(service.app.request("DELETE", &target, &[], b"").status, 204);
    }
}

/// What is visible is what the request asks for, but not the newest: a change is in progress.
#[test]
fn a_repeated_change_is_compared_with_that_of_a_writer_who_came_first() {
    let service = Service::new();
    let (app, tag) = {
        service.put("alice", "1990-01-01");
        (&service.app, service.tag("alice"))
    };
    let date = "1990-01-01";
    let forms: [&(dyn Fn() -> Answer + Sync); 4] = [
        &|| app.put_date("/hello/alice", date),
        &|| put_if(app, "alice", date, ("if-match", "*")),
        &|| put_if(app, "alice", date, ("if-match", &tag)),
        &|| put_if(app, "alice", date, ("if-none-match", OTHER_TAG)),
    ];
    for (number, form) in forms.iter().enumerate() {
        // Of the same tag.
        let sql = "UPDATE users SET date_of_birth = '1991-01-01' WHERE username = 'alice'";
        let answer = service.behind(sql, form);
        assert_eq!(answer.status, 204, "{number}: {}", answer.text());
        let row = service.row("alice");
        assert!(row.starts_with(date), "{number}: {row}");
    }
    // What is visible meets the condition, and what is in progress does not.
    let sql = "UPDATE users SET date_of_birth = '1991-02-02' WHERE username = 'alice'";
    assert_eq!(service.behind(sql, forms[2]).status, 412);
    assert!(service.row("alice").starts_with("1991-02-02"));
}

#[test]
fn a_repeated_friend_request_is_compared_with_what_came_first() {
    let service = Service::new();
    for name in ["alice", "bob"] {
        service.put(name, "1990-01-01");
    }
    assert_eq!(befriend(&service.app, "alice", "bob").status, 201);
    let again = || befriend(&service.app, "alice", "bob");
    let ask = |low: bool| format!("INSERT INTO friendships VALUES ('alice', 'bob', {low})");
    for (meanwhile, status, state, by) in [
        (
            "UPDATE friendships SET accepted = true".to_owned(),
            200,
            "accepted",
            "alice",
        ),
        (
            "DELETE FROM friendships".to_owned(),
            201,
            "pending",
            "alice",
        ),
        (
            format!("DELETE FROM friendships; {}", ask(false)),
            200,
            "accepted",
            "bob",
        ),
        (
            format!("DELETE FROM friendships; {}", ask(true)),
            200,
            "pending",
            "alice",
        ),
    ] {
        let answer = service.behind(&meanwhile, &again);
        assert_eq!(answer.status, status, "{meanwhile}: {}", answer.text());
        assert_eq!(answer.json()["state"], state, "{meanwhile}");
        assert_eq!(answer.json()["requestedBy"], by, "{meanwhile}");
        let stored = service.sql("SELECT accepted FROM friendships");
        assert_eq!(stored == "t", state == "accepted", "{meanwhile}");
    }
}

/// Another program's commit that is visible but not on the disk yet: what is answered for it must not be lost in a crash.
#[test]
fn a_repeated_change_is_acknowledged_once_it_is_durable() {
    let server = Server::start("late-flushes", &["wal_writer_delay=10s"]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    let migrated = command(&["migrate"]).env("DATABASE_URL", &url).status();
    assert!(migrated.unwrap().success());
    let app = App::ready(&[("DATABASE_URL", &url)]);
    let forms: [&dyn Fn(&str) -> Answer; 3] = [
        &|date| app.put_date("/hello/alice", date),
        &|date| put_if(&app, "alice", date, ("if-match", "*")),
        &|date| put_if(&app, "alice", date, ("if-none-match", OTHER_TAG)),
    ];
    for name in ["alice", "bob"] {
        let target = format!("/hello/{name}");
        assert_eq!(app.put_date(&target, "1990-01-01").status, 204);
    }
    let mut other = Session::open(&server, OWNER, "secret", "hello");
    other.run("SET synchronous_commit = off").unwrap();
    let mut session = Session::open(&server, "postgres", "secret", "hello");
    let mut durable = |change: &str, again: &dyn Fn() -> Answer, status: u16| {
        other.run(change).unwrap();
        let end = session.run("SELECT pg_current_wal_insert_lsn()").unwrap();
        let answer = again();
        assert_eq!(answer.status, status, "{change}: {}", answer.text());
        let flushed = format!("SELECT pg_current_wal_flush_lsn() >= '{end}'");
        assert_eq!(session.run(&flushed).as_deref(), Some("t"), "{change}");
    };
    for year in 1991..1994 {
        for (month, form) in (1..).zip(forms) {
            let date = format!("{year}-{month:02}-01");
            let change =
                format!("UPDATE users SET date_of_birth = '{date}' WHERE username = 'alice'");
            durable(&change, &|| form(&date), 204);
        }
        let again = || befriend(&app, "alice", "bob");
        let target = friendship("alice", "bob");
        let request = "INSERT INTO friendships VALUES ('alice', 'bob', true)";
        durable(request, &again, 200);
        durable("UPDATE friendships SET accepted = true", &again, 200);
        assert_eq!(app.request("DELETE", &target, &[], b"").status, 204);
    }
}

/// A plan is kept: one that was made for a few rows must do for many.
#[test]
fn greetings_are_found_by_the_primary_key_in_a_small_table_too() {
    let service = Service::new();
    service.put("alice", "1990-01-01");
    service.sql("ANALYZE users");
    let scans = |kind: &str| {
        let sql = format!("SELECT {kind} FROM pg_stat_user_tables WHERE relname = 'users'");
        service.sql(&sql).parse::<u64>().unwrap()
    };
    // Sessions report after at most a second, and wait for the next statement with it.
    let seen = |least: u64| {
        eventually("the reads are counted", LONG, || {
            assert_eq!(service.app.get("/hello/alice").status, 200);
            scans("idx_scan") >= least
        });
    };
    seen(1);
    let (whole, by_key) = (scans("seq_scan"), scans("idx_scan"));
    seen(by_key + 20);
    assert_eq!(scans("seq_scan"), whole);
}
