//! Somebody else holds locks in the database: a refused write never takes effect, and nothing piles up on the server.

use std::time::Duration;

use super::{IN_TIME, assert_unavailable, recovers};
use crate::support::app::{ANY_TIME, App, JSON};
use crate::support::client::Answer;
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;
use crate::support::{LONG, eventually};

/// Method, target, headers and body of a request.
type Write<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

struct Locked {
    app: App,
    database: String,
}

impl Locked {
    /// A service with one connection of each kind for writes, so that batches are known.
    fn new(deadline: (&str, &str)) -> Self {
        let (server, database) = (postgres::shared(), postgres::database());
        let app = App::ready(&[
            ("DATABASE_URL", &server.url(OWNER, &database)),
            ("HELLO_WRITE_CONNECTIONS", "1"),
            ("HELLO_CHANGE_CONNECTIONS", "1"),
            deadline,
        ]);
        Self { app, database }
    }

    fn session(&self) -> Session {
        Session::open(postgres::shared(), OWNER, "secret", &self.database)
    }

    /// A session that holds the lock of one user's row.
    fn lock(&self, name: &str) -> Session {
        let mut session = self.session();
        let sql = format!("BEGIN; SELECT username FROM users WHERE username = '{name}' FOR UPDATE");
        assert_eq!(session.run(&sql).as_deref(), Some(name));
        session
    }

    fn put(&self, name: &str, date: &str) -> Answer {
        self.app.put_date(&format!("/hello/{name}"), date)
    }

    fn sql(&self, sql: &str) -> String {
        postgres::shared().sql(&self.database, sql)
    }

    /// Sessions of the service that wait for a lock.
    fn waiting(&self) -> u32 {
        self.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'hello-app' AND wait_event_type = 'Lock'",
        )
        .parse()
        .unwrap()
    }

    fn backends(&self) -> u32 {
        self.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'hello-app'",
        )
        .parse()
        .unwrap()
    }
}

/// The order of a batch is that of names: the second waits although its own row is free.
#[test]
fn a_refused_write_does_not_undo_an_acknowledged_one() {
    // Long enough for all that comes before the first lock is released, on any machine.
    let locked = Locked::new(("HELLO_DATABASE_DEADLINE", "6s"));
    for name in ["a", "b", "z"] {
        assert_eq!(locked.put(name, "1990-01-01").status, 204);
    }
    let mut first = locked.lock("z");
    let mut second = locked.lock("a");
    std::thread::scope(|scope| {
        let z = scope.spawn(|| locked.put("z", "1991-01-01"));
        eventually("the first batch waits", LONG, || locked.waiting() == 1);
        let others = ["a", "b"].map(|name| {
            let locked = &locked;
            scope.spawn(move || locked.put(name, "1991-01-01"))
        });
        // Both are in the queue, for they are accepted only in the first half of their time.
        std::thread::sleep(Duration::from_millis(300));
        first.run("COMMIT").unwrap();
        assert_eq!(z.join().unwrap().status, 204);
        for other in others {
            assert_unavailable(&other.join().unwrap());
        }
    });
    assert_eq!(locked.waiting(), 0, "nothing goes on after the answer");
    assert_eq!(locked.put("b", "1992-02-02").status, 204);
    second.run("ROLLBACK").unwrap();
    recovers(&locked.app);
    let rows = "SELECT string_agg(username || date_of_birth, ' ' ORDER BY username) FROM users \
                WHERE username IN ('a', 'b', 'z')";
    assert_eq!(locked.sql(rows), "a1990-01-01 b1992-02-02 z1991-01-01");
}

/// Of each kind of write.
#[test]
fn no_refused_write_takes_effect_later() {
    let locked = Locked::new(IN_TIME);
    recovers(&locked.app);
    locked.sql("DELETE FROM users");
    locked.sql(
        "INSERT INTO users SELECT unnest(ARRAY['a', 'b', 'c']), DATE '1990-01-01'; \
         INSERT INTO friendships VALUES ('a', 'c', true)",
    );
    let app = &locked.app;
    let request = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        app.request(method, target, headers, body)
    };
    let etag = app.get("/hello/a").header("etag").unwrap().to_owned();
    let matching = [JSON, ("if-match", &etag)];
    let body: &[u8] = br#"{"dateOfBirth":"1991-01-01"}"#;
    let state = "SELECT (SELECT string_agg(users::text, ' ' ORDER BY username) FROM users), \
                 (SELECT string_agg(friendships::text, ' ' ORDER BY low, high) FROM friendships)";
    let before = locked.sql(state);
    let writes: [Write; 7] = [
        ("PUT", "/hello/a", &[JSON], body),
        ("DELETE", "/hello/a", &[], b""),
        ("PUT", "/hello/a", &matching, body),
        ("DELETE", "/hello/a", &[("if-match", &etag)], b""),
        ("PUT", "/users/a/friends/b", &[], b""),
        ("DELETE", "/users/a/friends/c", &[], b""),
        // Its row is free; the friendship that goes with it is not.
        ("DELETE", "/hello/c", &[], b""),
    ];
    for (method, target, headers, body) in writes {
        let mut holder = locked.session();
        let rows = if target.ends_with('c') {
            "friendships WHERE high = 'c'"
        } else {
            "users WHERE username = 'a'"
        };
        holder
            .run(&format!("BEGIN; SELECT 1 FROM {rows} FOR UPDATE"))
            .unwrap();
        assert_unavailable(&request(method, target, headers, body));
        assert_eq!(locked.waiting(), 0, "{method} {target}");
        holder.run("COMMIT").unwrap();
        recovers(app);
        locked.sql("DELETE FROM users WHERE username = 'recovered'");
        assert_eq!(locked.sql(state), before, "{method} {target}");
    }
}

#[test]
fn a_locked_table_costs_the_server_no_process() {
    let locked = Locked::new(IN_TIME);
    let most = locked.backends();
    let mut holder = locked.session();
    holder
        .run("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let locked = &locked;
            scope.spawn(move || {
                for _ in 0..3 {
                    let answer = match client % 4 {
                        0 => locked.put("a", "1990-01-01"),
                        1 => locked.app.get("/users?limit=5"),
                        _ => locked.app.get("/hello/a"),
                    };
                    assert_unavailable(&answer);
                    assert!(
                        locked.backends() <= most + 2,
                        "{} of {most}",
                        locked.backends()
                    );
                }
            });
        }
    });
    assert_eq!(locked.app.admin("/livez").status, 200);
    holder.run("COMMIT").unwrap();
    recovers(&locked.app);
    assert!(locked.backends() <= most);
}

/// A rule of the database that one name breaks.
#[test]
fn values_that_are_refused_concern_nobody_else() {
    let locked = Locked::new(ANY_TIME);
    assert_eq!(locked.put("z", "1990-01-01").status, 204);
    locked.sql("ALTER TABLE users ADD CHECK (username <> 'bad')");
    let mut holder = locked.lock("z");
    std::thread::scope(|scope| {
        let z = scope.spawn(|| locked.put("z", "1991-01-01"));
        eventually("the first batch waits", LONG, || locked.waiting() == 1);
        let others = ["bad", "good", "better"].map(|name| {
            let locked = &locked;
            scope.spawn(move || (name, locked.put(name, "1991-01-01")))
        });
        std::thread::sleep(Duration::from_millis(300));
        holder.run("COMMIT").unwrap();
        assert_eq!(z.join().unwrap().status, 204);
        for other in others {
            let (name, answer) = other.join().unwrap();
            assert_eq!(
                answer.status,
                if name == "bad" { 503 } else { 204 },
                "{name}"
            );
        }
    });
}
