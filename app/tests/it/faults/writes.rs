//! Writes through faults: no acknowledged one is lost, and no late one takes effect.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{DEADLINE, IN_TIME, SLACK, assert_unavailable, behind_proxy, recovers, terminate};
use crate::support::app::{App, JSON};
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::postgres::{self, OWNER};
use crate::support::proxy::{Mode, Proxy};
use crate::support::session::Session;

/// What one writer knows about its user after many writes through a faulty network.
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
            assert_unavailable(&answer);
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
            _ => assert_unavailable(&answer),
        }
    }
    ledger
}

/// Holds the locks of users' rows, one or two at a time, for up to three seconds.
fn lock_at_random(database: &str, names: &[&str], done: &AtomicBool) {
    let random = || RandomState::new().build_hasher().finish();
    let mut session = Session::open(postgres::shared(), OWNER, "secret", database);
    while !done.load(Ordering::Relaxed) {
        session.run("BEGIN").unwrap();
        for _ in 0..=random() % 2 {
            let name = names[usize::try_from(random() % names.len() as u64).unwrap()];
            let lock = format!("SELECT 1 FROM users WHERE username = '{name}' FOR UPDATE NOWAIT");
            session.run(&lock).unwrap();
        }
        std::thread::sleep(Duration::from_millis(random() % 3000));
        let end = ["COMMIT", "ROLLBACK"][usize::try_from(random() % 2).unwrap()];
        session.run(end).unwrap();
    }
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
        let locker = scope.spawn(|| lock_at_random(&database, &names, &done));
        let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
        for _ in 0..2 {
            pause(200);
            proxy.cut();
            pause(200);
            // Writes in progress arrive late, after their writers have got an error.
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
        // Only the old connections are held back: new ones overtake what is in transit on them.
        proxy.strand();
        pause(3500);
        done.store(true, Ordering::Relaxed);
        locker.join().unwrap();
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
    let app = App::ready(&[
        ("DATABASE_URL", &url),
        ("HELLO_WRITE_CONNECTIONS", "1"),
        IN_TIME,
    ]);
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
            "put" => assert_unavailable(&app.put_date("/hello/overwritten", "1991-01-01")),
            _ => assert_unavailable(&delete("kept")),
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

/// The server compares with its own clock. That may step between two checks of the connection; each write reads it again.
#[test]
fn a_write_that_arrives_late_does_nothing_although_the_servers_clock_was_set_back() {
    let (server, database) = (postgres::shared(), postgres::database());
    // A clock that can be set, for this database.
    server.sql(
        &database,
        &format!(
            "CREATE SCHEMA clock; CREATE TABLE clock.step (by interval); INSERT INTO clock.step VALUES ('0'); \
             CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
                 'SELECT pg_catalog.clock_timestamp() + by FROM clock.step'; \
             GRANT USAGE ON SCHEMA clock TO {OWNER}; GRANT SELECT ON clock.step TO {OWNER}; \
             ALTER DATABASE {database} SET search_path = clock, pg_catalog, public"
        ),
    );
    let proxy = Proxy::start(server.port);
    let url = server.url_at(OWNER, &database, proxy.address.port());
    let connections = ("HELLO_WRITE_CONNECTIONS", "1");
    let app = App::ready(&[("DATABASE_URL", &url), connections, IN_TIME]);
    for step in ["-60 s", "0", "-1 day"] {
        recovers(&app);
        server.sql(&database, &format!("UPDATE clock.step SET by = '{step}'"));
        assert_eq!(app.put_date("/hello/zoe", "1990-01-01").status, 204);
        proxy.strand();
        assert_unavailable(&app.put_date("/hello/zoe", "1991-01-01"));
        recovers(&app);
        assert_eq!(app.put_date("/hello/zoe", "1992-01-01").status, 204);
        proxy.release();
        std::thread::sleep(Duration::from_millis(500));
        let date = "SELECT date_of_birth FROM users WHERE username = 'zoe'";
        assert_eq!(server.sql(&database, date), "1992-01-01", "{step}");
    }
}

#[test]
fn a_read_only_primary_is_not_used_until_it_accepts_writes() {
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
    eventually("writes are refused", SLACK, || {
        app.put_date("/hello/alice", "1991-01-01").status == 503
    });
    assert_eq!(app.get("/hello/alice").status, 200, "reads still work");
    assert_eq!(app.admin("/readyz").status, 200, "and are served");
    read_only("off");
    recovers(&app);
}
