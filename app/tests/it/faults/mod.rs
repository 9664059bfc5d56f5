//! The way to the database breaks: every answer is right, or 503 in time; no acknowledged write
//! is lost; and the service recovers by itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::app::{App, JSON};
use crate::support::client::{Answer, Connection};
use crate::support::postgres::{self, OWNER};
use crate::support::proxy::{Mode, Proxy};
use crate::support::{eventually, pgbouncer};

/// The service's deadline for the database, its default, and what the test machine may add.
const DEADLINE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(700);
/// How soon the service is back once the database is.
const RECOVERY: Duration = Duration::from_secs(2);

/// A service that reaches its fresh database through a proxy.
fn behind_proxy() -> (App, Proxy, String) {
    let (server, database) = (postgres::shared(), postgres::database());
    let proxy = Proxy::start(server.port);
    let url = server.url_at(OWNER, &database, proxy.address.port());
    (App::ready(&[("DATABASE_URL", &url)]), proxy, database)
}

fn assert_away(answer: &Answer) {
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["type"], "/problems/database-unavailable");
}

pub fn recovers(app: &App) {
    eventually("reads and writes work again", RECOVERY, || {
        app.put_date("/hello/recovered", "1990-01-01").status == 204
            && app.get("/hello/recovered").status == 200
            && app.admin("/readyz").status == 200
    });
}

#[test]
fn a_database_that_is_away_gives_503_at_once() {
    let (app, proxy, _) = behind_proxy();
    proxy.set(Mode::Refuse);
    proxy.cut();
    eventually("the loss is noticed", DEADLINE, || {
        app.admin("/readyz").status == 503
    });
    assert_eq!(app.admin("/startupz").status, 200, "it did start");
    assert_eq!(app.admin("/livez").status, 200);
    let started = Instant::now();
    assert_away(&app.get("/hello/alice"));
    assert_away(&app.put_date("/hello/alice", "1990-01-01"));
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    proxy.set(Mode::Pass);
    recovers(&app);
}

#[test]
fn a_black_hole_is_noticed_by_the_deadline() {
    let (app, proxy, _) = behind_proxy();
    proxy.set(Mode::BlackHole);
    std::thread::scope(|scope| {
        for method in ["GET", "PUT", "DELETE"] {
            let app = &app;
            scope.spawn(move || {
                let started = Instant::now();
                let body: &[u8] = if method == "PUT" {
                    br#"{"dateOfBirth":"1990-01-01"}"#
                } else {
                    b""
                };
                assert_away(&app.request(method, "/hello/alice", &[JSON], body));
                assert!(
                    started.elapsed() < DEADLINE + SLACK,
                    "{method}: {:?}",
                    started.elapsed()
                );
            });
        }
    });
    proxy.set(Mode::Pass);
    recovers(&app);
}

#[test]
fn an_idle_connection_that_died_silently_costs_no_request() {
    let (app, proxy, _) = behind_proxy();
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    // The old connections lead nowhere; new ones work.
    proxy.half_close();
    for _ in 0..20 {
        assert_eq!(app.get("/hello/alice").status, 200);
    }
    recovers(&app);
}

#[test]
fn reads_in_flight_survive_the_loss_of_their_connection() {
    let (app, proxy, _) = behind_proxy();
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let done = AtomicBool::new(false);
    let answers = [const { AtomicUsize::new(0) }; 8];
    std::thread::scope(|scope| {
        for answers in &answers {
            let (app, done) = (&app, &done);
            scope.spawn(move || {
                let mut connection = Connection::open(app.api);
                while !done.load(Ordering::Relaxed) {
                    let answer = connection.request("GET", "/hello/alice", &[], b"");
                    assert_eq!(answer.status, 200);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let stop = SetOnDrop(&done);
        for _ in 0..5 {
            // A read is run again once. None of those that a cut may have hit is in progress at the next.
            let before = answers
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed));
            eventually("every reader has new answers", 5 * RECOVERY, || {
                let answers = answers
                    .each_ref()
                    .map(|count| count.load(Ordering::Relaxed));
                answers
                    .iter()
                    .zip(&before)
                    .all(|(now, then)| *now >= then + 2)
            });
            proxy.cut();
        }
        drop(stop);
    });
}

/// Ends the threads of a test, also when the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What one writer knows of its user after many writes through a bad network.
struct Ledger {
    /// The days that a read may show: the last acknowledged, and all tried since.
    possible: Vec<u32>,
}

/// Writes one user's date again and again, a new one each time, and reads it in between.
fn write_through_faults(app: &App, target: &str, done: &AtomicBool) -> Ledger {
    let mut ledger = Ledger {
        possible: Vec::new(),
    };
    let mut acknowledged = false;
    let mut connection = Connection::open(app.api);
    for day in (0..u32::MAX).map(|count| count % 28 + 1) {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let body = format!(r#"{{"dateOfBirth":"1990-01-{day:02}"}}"#);
        let started = Instant::now();
        let answer = connection.request("PUT", target, &[JSON], body.as_bytes());
        assert!(
            started.elapsed() < DEADLINE + SLACK,
            "PUT took {:?}",
            started.elapsed()
        );
        if answer.status == 204 {
            acknowledged = true;
            ledger.possible = vec![day];
        } else {
            assert_away(&answer);
            ledger.possible.push(day);
        }
        let started = Instant::now();
        let answer = connection.request("GET", target, &[], b"");
        assert!(
            started.elapsed() < DEADLINE + SLACK,
            "GET took {:?}",
            started.elapsed()
        );
        match answer.status {
            200 => {}
            404 => assert!(!acknowledged, "an acknowledged write is gone"),
            _ => assert_away(&answer),
        }
    }
    ledger
}

#[test]
fn no_acknowledged_write_is_lost_whatever_the_network_does() {
    let (app, proxy, database) = behind_proxy();
    let done = AtomicBool::new(false);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
        let writers: Vec<_> = names
            .iter()
            .map(|name| {
                let (app, done) = (&app, &done);
                scope.spawn(move || write_through_faults(app, &format!("/hello/{name}"), done))
            })
            .collect();
        let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
        for _ in 0..2 {
            pause(200);
            proxy.cut();
            pause(200);
            // What was in progress arrives late, when its writers have an error for it.
            proxy.set(Mode::BlackHole);
            pause(3000);
            proxy.set(Mode::Pass);
            pause(300);
            proxy.half_close();
            pause(200);
            proxy.set(Mode::Delay(Duration::from_millis(60)));
            pause(600);
            proxy.set(Mode::Refuse);
            proxy.cut();
            pause(500);
            proxy.set(Mode::Pass);
            pause(1500);
        }
        // Only the old connections are held up: new ones overtake what is on its way there.
        proxy.strand();
        pause(3500);
        done.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    recovers(&app);
    proxy.release();
    std::thread::sleep(Duration::from_millis(500));
    for (name, ledger) in names.iter().zip(ledgers) {
        let sql =
            format!("SELECT extract(day FROM date_of_birth) FROM users WHERE username = '{name}'");
        let day: u32 = postgres::shared().sql(&database, &sql).parse().unwrap();
        assert!(
            ledger.possible.contains(&day),
            "{name} is {day}, not in {:?}",
            ledger.possible
        );
    }
}

#[test]
fn a_write_that_arrives_late_does_nothing() {
    let (server, database) = (postgres::shared(), postgres::database());
    let proxy = Proxy::start(server.port);
    let url = server.url_at(OWNER, &database, proxy.address.port());
    // One connection, so that the statements below are prepared on it by those before.
    let app = App::ready(&[("DATABASE_URL", &url), ("HELLO_WRITE_CONNECTIONS", "1")]);
    let delete = |name: &str| app.request("DELETE", &format!("/hello/{name}"), &[], b"");
    for name in ["kept", "overwritten"] {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204
        );
    }
    assert_eq!(delete("nobody").status, 204);
    for late in ["put", "delete"] {
        proxy.strand();
        match late {
            "put" => assert_away(&app.put_date("/hello/overwritten", "1991-01-01")),
            _ => assert_away(&delete("kept")),
        }
        recovers(&app);
        assert_eq!(app.put_date("/hello/overwritten", "1992-01-01").status, 204);
        assert_eq!(delete("nobody").status, 204);
        proxy.release();
        std::thread::sleep(Duration::from_millis(500));
        let rows = "SELECT string_agg(username || date_of_birth, ' ' ORDER BY username) \
                    FROM users WHERE username IN ('kept', 'overwritten')";
        assert_eq!(
            server.sql(&database, rows),
            "kept1990-01-01 overwritten1992-01-01",
            "{late}"
        );
    }
}

#[test]
fn a_read_only_primary_is_left_until_it_takes_writes() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let read_only = |on: &str| {
        server.sql(
            "postgres",
            &format!("ALTER DATABASE {database} SET default_transaction_read_only = {on}"),
        );
        terminate(&database);
    };
    read_only("on");
    eventually("writes are refused", DEADLINE, || {
        app.put_date("/hello/alice", "1991-01-01").status == 503
    });
    assert_eq!(app.get("/hello/alice").status, 200, "reads go on");
    assert_eq!(app.admin("/readyz").status, 503);
    read_only("off");
    recovers(&app);
}

/// A service that reads its address from a file, on a server of its own.
fn with_address_in_a_file(name: &str) -> (App, postgres::Server, tempfile::NamedTempFile) {
    let server = postgres::Server::start(name, &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = server.url(OWNER, "hello");
    std::fs::write(file.path(), &url).unwrap();
    let migrated = crate::support::app::command(&["migrate"])
        .env("DATABASE_URL", &url)
        .output();
    assert!(migrated.unwrap().status.success());
    let app = App::ready(&[("DATABASE_URL_FILE", file.path().to_str().unwrap())]);
    (app, server, file)
}

/// The server takes only the new password from now on, and the sessions of the old one end.
fn rotate(server: &postgres::Server) {
    server.sql(
        "postgres",
        &format!("ALTER ROLE {OWNER} PASSWORD 'rotated'"),
    );
    let end_sessions = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{OWNER}'"
    );
    server.sql("postgres", &end_sessions);
}

#[test]
fn a_rotated_password_takes_effect_without_a_restart() {
    let (app, server, file) = with_address_in_a_file("rotation");
    rotate(&server);
    eventually("the old password is refused", DEADLINE, || {
        app.admin("/readyz").status == 503
    });
    let url = server.url(OWNER, "hello").replace("secret", "rotated");
    std::fs::write(file.path(), url).unwrap();
    recovers(&app);
    assert!(!app.log().contains("rotated"));
}

/// Before, while and after the server learns a new password, a lost connection is made anew at once.
#[test]
fn with_both_passwords_no_connection_fails() {
    let server = postgres::Server::start("both", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = server.url(OWNER, "hello");
    std::fs::write(&file, &url).unwrap();
    let migrated = crate::support::app::command(&["migrate"])
        .env("DATABASE_URL", &url)
        .output();
    assert!(migrated.unwrap().status.success());
    let app = App::ready(&[("DATABASE_URL_FILE", file.to_str().unwrap())]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    std::fs::write(folder.path().join("url.previous"), &url).unwrap();
    std::fs::write(&file, url.replace("secret", "rotated")).unwrap();
    let end_sessions = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{OWNER}'"
    );
    for alter in ["SELECT", &format!("ALTER ROLE {OWNER} PASSWORD 'rotated'")] {
        server.sql("postgres", alter);
        server.sql("postgres", &end_sessions);
        for _ in 0..20 {
            assert_eq!(app.get("/hello/alice").status, 200, "after {alter}");
        }
    }
    let log = app.log();
    assert!(
        !log.contains("rotated") && !log.contains("authentication failed"),
        "{log}"
    );
}

#[test]
fn a_password_that_is_known_in_time_costs_no_more_than_a_reconnect() {
    let (app, server, file) = with_address_in_a_file("rotation-in-time");
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let url = server.url(OWNER, "hello").replace("secret", "rotated");
    std::fs::write(file.path(), url).unwrap();
    let done = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(app.api);
                while !done.load(Ordering::Relaxed) {
                    let answer = connection.request("GET", "/hello/alice", &[], b"");
                    assert_eq!(answer.status, 200);
                }
            });
        }
        let writer = scope.spawn(|| {
            let mut refused = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = app.put_date("/hello/bob", "1990-01-01");
                if answer.status != 204 {
                    assert_away(&answer);
                    refused += 1;
                }
            }
            refused
        });
        std::thread::sleep(Duration::from_millis(300));
        rotate(&server);
        std::thread::sleep(Duration::from_millis(1500));
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    // What was in progress on a connection when that ended may or may not have taken effect.
    assert!(refused <= 2, "{refused} writes, two connections");
    recovers(&app);
}

#[test]
fn never_more_connections_than_configured() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[
        ("DATABASE_URL", &server.url(OWNER, &database)),
        ("HELLO_READ_CONNECTIONS", "3"),
        ("HELLO_WRITE_CONNECTIONS", "1"),
        ("HELLO_QUERY_CONNECTIONS", "2"),
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
    eventually("every connection is used", Duration::from_secs(10), || {
        connections() == 6
    });
}

#[test]
fn a_client_that_disconnects_affects_no_other() {
    let app = App::postgres();
    for _ in 0..200 {
        let mut connection = Connection::open(app.api);
        let bytes = crate::support::client::request_bytes(
            "PUT",
            "/hello/alice",
            &[JSON],
            br#"{"dateOfBirth":"1990-01-01"}"#,
        );
        connection.send(&bytes).unwrap();
    }
    assert_eq!(app.put_date("/hello/bob", "1990-01-01").status, 204);
    assert_eq!(app.get("/hello/bob").status, 200);
    eventually("nothing is left in flight", DEADLINE, || {
        app.admin("/metrics")
            .text()
            .contains("hello_http_requests_in_flight 0")
    });
}

#[test]
fn works_through_pgbouncer_in_transaction_mode() {
    let (server, database) = (postgres::shared(), postgres::database());
    let bouncer = pgbouncer::start(server.port, &database);
    let app = App::ready(&[
        (
            "DATABASE_URL",
            &server.url_at(OWNER, &database, bouncer.port),
        ),
        ("HELLO_DATABASE_POOLER", "transaction"),
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
}

/// Ends every session in `database`.
fn terminate(database: &str) {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"
    );
    postgres::shared().sql("postgres", &sql);
}
