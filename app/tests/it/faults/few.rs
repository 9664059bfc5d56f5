//! A server that has fewer connections for the service than it wants: every kind of work is done all the same.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{IN_TIME, RECOVERY, SLACK, assert_unavailable, terminate};
use crate::support::app::{App, JSON, status_at_last};
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;
use crate::support::{LONG, eventually, pgbouncer};

/// As many connections as the service wants.
const ALL: usize = 7;

/// A role that may open only so many connections, and what it may do otherwise.
fn limited_role(database: &str, connections: usize) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let role = format!("hello_limited_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    postgres::shared().sql(
        database,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT {connections}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON users, friendships TO {role}; \
             GRANT SELECT ON _sqlx_migrations TO {role}"
        ),
    );
    role
}

/// Asks for every kind of work, each of which has to be done.
fn every_kind_works(app: &App, user: &str) {
    every_kind(user, |method, target, headers, body| {
        app.request(method, target, headers, body).status
    });
}

/// The same where a request may wait so long that it is refused, and then has done nothing.
fn every_kind_works_at_last(app: &App, user: &str) {
    every_kind(user, |method, target, headers, body| {
        status_at_last(|| app.request(method, target, headers, body))
    });
}

fn every_kind(user: &str, ask: impl Fn(&str, &str, &[(&str, &str)], &[u8]) -> u16) {
    let (hello, friend) = (
        format!("/hello/{user}"),
        format!("/users/{user}/friends/friend"),
    );
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    let get = |target: &str| ask("GET", target, &[], b"");
    assert_eq!(ask("PUT", "/hello/friend", &[JSON], body), 204);
    assert_eq!(ask("PUT", &hello, &[JSON], body), 204);
    assert_eq!(get(&hello), 200);
    assert_eq!(get("/users"), 200);
    assert_eq!(ask("PUT", &friend, &[], b""), 201);
    assert_eq!(get(&format!("/users/{user}/friends")), 200);
    assert_eq!(ask("DELETE", &hello, &[("if-match", "*")], b""), 204);
    assert_eq!(get(&hello), 404);
}

/// The value of a metric, all labels included in its name.
fn metric(app: &App, name: &str) -> f64 {
    let answer = app.admin("/metrics");
    let text = answer.text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

fn connections(app: &App) -> f64 {
    let of = |kind| metric(app, &format!("hello_store_connections{{kind=\"{kind}\"}}"));
    ["read", "write", "list", "change"].map(of).iter().sum()
}

#[test]
fn every_kind_of_work_is_done_with_few_connections() {
    let (server, database) = (postgres::shared(), postgres::database());
    for limit in 1..=ALL {
        let role = limited_role(&database, limit);
        let app = App::ready(&[("DATABASE_URL", &server.url(&role, &database))]);
        std::thread::scope(|scope| {
            for user in ["amy", "bob", "zoe"] {
                let app = &app;
                scope.spawn(move || (0..10).for_each(|_| every_kind_works(app, user)));
            }
        });
        assert_eq!(app.admin("/readyz").status, 200);
        #[allow(clippy::cast_precision_loss)] // Less than ten.
        let most = limit as f64;
        assert_eq!(connections(&app), most, "{limit}");
        assert_eq!(
            app.log().contains("too many connections"),
            limit < ALL,
            "{}",
            app.log()
        );
    }
}

/// The one connection is never idle for long.
#[test]
fn no_kind_of_work_starves_behind_another_on_one_connection() {
    let (server, database) = (postgres::shared(), postgres::database());
    let role = limited_role(&database, 1);
    let app = App::ready(&[("DATABASE_URL", &server.url(&role, &database))]);
    let ended = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for reader in 0..8 {
            let (app, ended) = (&app, &ended);
            scope.spawn(move || {
                while ended.load(Ordering::Relaxed) < 2 {
                    let target = if reader % 2 == 0 {
                        "/hello/nobody"
                    } else {
                        "/users"
                    };
                    assert_ne!(app.get(target).status, 503);
                }
            });
        }
        for user in ["amy", "bob"] {
            let (app, ended) = (&app, &ended);
            scope.spawn(move || {
                (0..20).for_each(|_| every_kind_works(app, user));
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
}

/// While lists, or writes that wait for a lock, take long, one of two connections reads greetings.
#[test]
fn greetings_are_read_while_the_other_connection_is_held_up() {
    let (server, database) = (postgres::shared(), postgres::database());
    let role = limited_role(&database, 2);
    let deadline = ("HELLO_DATABASE_DEADLINE", "20s");
    let app = App::ready(&[("DATABASE_URL", &server.url(&role, &database)), deadline]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let mut other = Session::open(server, OWNER, "secret", &database);
    other
        .run("BEGIN; LOCK TABLE friendships IN ACCESS EXCLUSIVE MODE; SELECT FROM users FOR UPDATE")
        .unwrap();
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..6)
            .map(|number| {
                let app = &app;
                scope.spawn(move || match number % 3 {
                    0 => app.get("/users/alice/friends").status,
                    1 => app.put_date("/hello/alice", "1991-01-01").status,
                    _ => {
                        app.request("DELETE", "/hello/alice", &[("if-match", "*")], b"")
                            .status
                    }
                })
            })
            .collect();
        eventually("something is held up", SLACK, || {
            let sql = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND wait_event_type = 'Lock'"
            );
            server.sql("postgres", &sql) == "1"
        });
        for _ in 0..20 {
            assert_eq!(app.get("/hello/alice").status, 200);
        }
        assert!(slow.iter().any(|one| !one.is_finished()));
        other.run("COMMIT").unwrap();
        slow.into_iter()
            .for_each(|one| assert_ne!(one.join().unwrap(), 500));
    });
}

/// Its own connections come back when there is room again.
#[test]
fn all_connections_come_when_the_limit_goes() {
    let (server, database) = (postgres::shared(), postgres::database());
    let role = limited_role(&database, 2);
    let app = App::ready(&[("DATABASE_URL", &server.url(&role, &database))]);
    every_kind_works(&app, "amy");
    server.sql(
        "postgres",
        &format!("ALTER ROLE {role} CONNECTION LIMIT -1"),
    );
    eventually("every connection is there", Duration::from_secs(60), || {
        connections(&app) == 7.0
    });
    every_kind_works(&app, "amy");
}

/// Whoever would do it: what cannot write is not ready at first, and says why.
#[test]
fn a_read_only_database_is_not_ready_with_one_connection_either() {
    let (server, database) = (postgres::shared(), postgres::database());
    let role = limited_role(&database, 1);
    let set = |value| {
        let sql = format!("ALTER ROLE {role} SET default_transaction_read_only = {value}");
        server.sql("postgres", &sql);
    };
    set("on");
    let app = App::start(&[("DATABASE_URL", &server.url(&role, &database))]);
    eventually("it says why", RECOVERY, || {
        app.log().contains("the database is read-only")
    });
    assert_eq!(app.admin("/readyz").status, 503);
    set("off");
    // A session keeps the setting that it began with.
    terminate(&database);
    eventually("it is ready", LONG, || app.admin("/readyz").status == 200);
    every_kind_works(&app, "amy");
    // From now on, greetings are better than nothing.
    set("on");
    terminate(&database);
    eventually(
        "greetings are read, and the service is ready",
        RECOVERY,
        || app.get("/hello/friend").status == 200 && app.admin("/readyz").status == 200,
    );
    assert_unavailable(&app.put_date("/hello/friend", "1990-01-01"));
}

#[test]
fn every_kind_of_work_is_done_behind_a_pooler_with_few_connections() {
    let (server, database) = (postgres::shared(), postgres::database());
    for settings in [
        "pool_mode = session\ndefault_pool_size = 1\n",
        "pool_mode = session\ndefault_pool_size = 3\n",
        "default_pool_size = 1\n",
        "max_client_conn = 1\n",
        "max_client_conn = 3\n",
    ] {
        let bouncer = pgbouncer::start(server.port, &database, settings);
        let url = server.url_at(OWNER, &database, bouncer.port);
        let app = App::ready(&[
            ("DATABASE_URL", &url),
            ("HELLO_DATABASE_POOLER", "transaction"),
            // A connection that the pooler has not got in this time counts as one for which there is no room.
            IN_TIME,
        ]);
        std::thread::scope(|scope| {
            for user in ["amy", "bob", "zoe"] {
                let app = &app;
                scope.spawn(move || (0..10).for_each(|_| every_kind_works_at_last(app, user)));
            }
        });
    }
}
