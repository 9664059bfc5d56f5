//! What the service's statements leave in PostgreSQL, and how the server runs them.

use crate::support::app::{App, command};
use crate::support::postgres::{self, OWNER, Server};
use crate::support::session::Session;
use crate::support::{LONG, eventually};

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

/// The date that is visible is that of the request, but not the newest: another one is in progress.
#[test]
fn a_repeated_date_is_compared_with_that_of_a_writer_who_came_first() {
    let service = Service::new();
    service.put("alice", "1990-01-01");
    let mut other = Session::open(postgres::shared(), OWNER, "secret", &service.database);
    let sql = "BEGIN; UPDATE users SET date_of_birth = '1991-02-02' WHERE username = 'alice'";
    other.run(sql).unwrap();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| service.put("alice", "1990-01-01"));
        eventually("the write waits", LONG, || {
            service.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'hello-app' AND wait_event_type = 'Lock'",
            ) == "1"
        });
        other.run("COMMIT").unwrap();
        put.join().unwrap();
    });
    assert!(service.row("alice").starts_with("1990-01-01"));
}

/// Another program's commit that is visible but not on the disk yet: what is answered for it must not be lost in a crash.
#[test]
fn a_repeated_date_is_acknowledged_once_it_is_durable() {
    let server = Server::start("late-flushes", &["wal_writer_delay=10s"]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    let migrated = command(&["migrate"]).env("DATABASE_URL", &url).status();
    assert!(migrated.unwrap().success());
    let app = App::ready(&[("DATABASE_URL", &url)]);
    let put = |date: &str| assert_eq!(app.put_date("/hello/alice", date).status, 204);
    put("1990-01-01");
    let mut other = Session::open(&server, OWNER, "secret", "hello");
    other.run("SET synchronous_commit = off").unwrap();
    let mut session = Session::open(&server, "postgres", "secret", "hello");
    for date in ["1991-01-01", "1992-01-01", "1993-01-01"] {
        let change = "UPDATE users SET date_of_birth";
        other
            .run(&format!("{change} = '{date}' WHERE username = 'alice'"))
            .unwrap();
        let end = session.run("SELECT pg_current_wal_insert_lsn()").unwrap();
        put(date);
        let flushed = format!("SELECT pg_current_wal_flush_lsn() >= '{end}'");
        assert_eq!(session.run(&flushed).as_deref(), Some("t"));
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
