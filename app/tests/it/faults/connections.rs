//! Many connections to the database, clients that disconnect, and a pooler.

use super::{recovers, terminate};
use crate::support::app::{App, JSON};
use crate::support::client::{Connection, request_bytes};
use crate::support::postgres::{self, OWNER};
use crate::support::{LONG, eventually, pgbouncer};

#[test]
fn never_more_connections_than_configured() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[
        ("DATABASE_URL", &server.url(OWNER, &database)),
        ("HELLO_READ_CONNECTIONS", "3"),
        ("HELLO_WRITE_CONNECTIONS", "1"),
        ("HELLO_QUERY_CONNECTIONS", "1"),
        ("HELLO_CHANGE_CONNECTIONS", "1"),
    ]);
    let connections = || {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        server.sql("postgres", &sql).parse::<u32>().unwrap()
    };
    let most = std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
                    assert_eq!(app.get("/hello/alice").status, 200);
                }
            });
        }
        (0..10).map(|_| connections()).max().unwrap()
    });
    assert!(most <= 6, "{most}");
    eventually("every connection is used", LONG, || connections() == 6);
}

/// As a rotation of the password does. The server says so in place of an answer, and has done nothing.
#[test]
fn an_ended_session_costs_no_request() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
    for _ in 0..10 {
        assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
        terminate(&database);
        assert_eq!(app.put_date("/hello/alice", "1991-01-01").status, 204);
        assert_eq!(app.get("/hello/alice").status, 200);
    }
}

#[test]
fn a_client_that_disconnects_affects_no_other() {
    let app = App::postgres();
    for _ in 0..200 {
        let mut connection = Connection::open(app.api);
        let bytes = request_bytes(
            "PUT",
            "/hello/alice",
            &[JSON],
            br#"{"dateOfBirth":"1990-01-01"}"#,
        );
        connection.send(&bytes).unwrap();
    }
    assert_eq!(app.put_date("/hello/bob", "1990-01-01").status, 204);
    assert_eq!(app.get("/hello/bob").status, 200);
    eventually("nothing is left in flight", LONG, || {
        app.admin("/metrics")
            .text()
            .contains("hello_http_requests_in_flight 0")
    });
}

#[test]
fn works_through_pgbouncer_in_transaction_mode() {
    works_through_pgbouncer("transaction", "");
}

/// Poolers refuse the settings of a connection, or pass them on and lose prepared statements.
#[test]
fn notices_a_pooler_that_it_was_not_told_of() {
    let log = works_through_pgbouncer("none", "");
    assert!(log.contains("HELLO_DATABASE_POOLER"), "{log}");
    let passes_on = "ignore_startup_parameters = options,extra_float_digits\n";
    let log = works_through_pgbouncer("none", passes_on);
    assert!(log.contains("HELLO_DATABASE_POOLER"), "{log}");
}

/// The log of a service that is set up for this pooler, with these settings of PgBouncer.
fn works_through_pgbouncer(pooler: &str, settings: &str) -> String {
    let (server, database) = (postgres::shared(), postgres::database());
    let bouncer = pgbouncer::start(server.port, &database, settings);
    let app = App::ready(&[
        (
            "DATABASE_URL",
            &server.url_at(OWNER, &database, bouncer.port),
        ),
        ("HELLO_DATABASE_POOLER", pooler),
    ]);
    std::thread::scope(|scope| {
        for writer in 'a'..='h' {
            let app = &app;
            scope.spawn(move || {
                for letter in 'a'..='z' {
                    let target = format!("/hello/{writer}{letter}");
                    assert_eq!(app.put_date(&target, "1990-01-01").status, 204);
                    assert_eq!(app.get(&target).status, 200);
                    assert_eq!(app.request("DELETE", &target, &[], b"").status, 204);
                    assert_eq!(app.get(&target).status, 404);
                }
            });
        }
    });
    terminate(&database);
    recovers(&app);
    app.log()
}
