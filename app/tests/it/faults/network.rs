//! The connection to the database breaks, or the database is unavailable.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{
    DEADLINE, IN_TIME, RECOVERY, SLACK, assert_unavailable, behind_proxy, behind_proxy_with,
    recovers,
};
use crate::support::app::{ANY_TIME, App, JSON};
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::postgres::{self, OWNER};
use crate::support::proxy::{Mode, Proxy};

#[test]
fn an_unavailable_database_gives_503_at_once() {
    let (app, proxy, _) = behind_proxy_with(&[ANY_TIME]);
    proxy.set(Mode::Refuse);
    proxy.cut();
    eventually("the loss is noticed", RECOVERY, || {
        app.admin("/readyz").status == 503
    });
    assert_eq!(app.admin("/startupz").status, 200, "it did start");
    assert_eq!(app.admin("/livez").status, 200);
    let started = Instant::now();
    assert_unavailable(&app.get("/hello/alice"));
    assert_unavailable(&app.put_date("/hello/alice", "1990-01-01"));
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
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
                assert_unavailable(&app.request(method, "/hello/alice", &[JSON], body));
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

/// As on a server, or with a service, that is very busy: no attempt to connect would ever end in a caller's time.
#[test]
fn a_server_that_is_slow_to_connect_to_is_connected_to() {
    let (server, database) = (postgres::shared(), postgres::database());
    let proxy = Proxy::start(server.port);
    // It takes four exchanges at least.
    proxy.set(Mode::Delay(Duration::from_millis(300)));
    let url = server.url_at(OWNER, &database, proxy.address.port());
    let app = App::ready(&[("DATABASE_URL", &url), IN_TIME]);
    assert!(app.log().contains("no connection within 2s"));
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
    let (app, proxy, _) = behind_proxy_with(&[ANY_TIME]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    // A connection takes its time, so that what has to be read again is in progress when the next one is lost.
    proxy.set(Mode::Delay(Duration::from_millis(5)));
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
        for round in 0..8 {
            // No read that this cut interrupts, on one connection after another, may still be in progress at the next cut.
            let before = answers
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed));
            eventually("every reader has new answers", RECOVERY, || {
                let answers = answers
                    .each_ref()
                    .map(|count| count.load(Ordering::Relaxed));
                answers
                    .iter()
                    .zip(&before)
                    .all(|(now, then)| *now >= then + 2)
            });
            proxy.cut_slowly(Duration::from_millis(7 * round));
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
