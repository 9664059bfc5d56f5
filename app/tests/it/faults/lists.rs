//! Lists that take long: other lists, greetings and their connections go on.

use std::time::Duration;

use super::{SLACK, assert_unavailable};
use crate::support::app::App;
use crate::support::eventually;
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;

/// Longer than usual: what the server leaves of it is long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(6);

#[test]
fn slow_lists_block_no_other_and_cost_no_connection() {
    during_slow_lists("2", |app| {
        assert_eq!(app.get("/users").status, 200);
        assert_eq!(app.get("/users?birthdayWithin=9").status, 200);
    });
}

#[test]
fn slow_lists_do_not_cost_the_only_connection_for_lists() {
    during_slow_lists("1", |app| {
        assert_eq!(app.get("/hello/alice").status, 200);
        assert_eq!(app.put_date("/hello/bob", "1990-01-01").status, 204);
    });
}

/// Asserts `others` again and again while lists that read friendships, a table that somebody has locked, take long. There are
/// more of them than connections: the later ones have waited when it is their turn.
fn during_slow_lists(connections: &str, others: impl Fn(&App)) {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[
        ("DATABASE_URL", &server.url(OWNER, &database)),
        (
            "HELLO_DATABASE_DEADLINE",
            &format!("{}s", DEADLINE.as_secs()),
        ),
        ("HELLO_QUERY_CONNECTIONS", connections),
    ]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    let backends = |condition: &str| {
        let sql = format!(
            "SELECT coalesce(string_agg(pid::text, ' ' ORDER BY pid), '') FROM pg_stat_activity \
             WHERE datname = '{database}' AND application_name = 'hello-app' AND {condition}"
        );
        server.sql("postgres", &sql)
    };
    let before = backends("true");
    let mut other = Session::open(server, OWNER, "secret", &database);
    other
        .run("BEGIN; LOCK TABLE friendships IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    std::thread::scope(|scope| {
        let slow: Vec<_> = ["friends", "friends?state=pending", "friends/birthdays"]
            .into_iter()
            .cycle()
            .take(9)
            .map(|list| {
                let app = &app;
                scope.spawn(move || app.get(&format!("/users/alice/{list}")))
            })
            .collect();
        eventually("lists wait", DEADLINE + SLACK, || {
            !backends("wait_event_type = 'Lock'").is_empty()
        });
        while slow.iter().any(|list| !list.is_finished()) {
            others(&app);
            assert_eq!(app.admin("/readyz").status, 200);
            std::thread::sleep(Duration::from_millis(20));
        }
        for list in slow {
            assert_unavailable(&list.join().unwrap());
        }
    });
    assert_eq!(backends("wait_event_type = 'Lock'"), "", "{}", app.log());
    assert_eq!(backends("true"), before, "{}", app.log());
    other.run("ROLLBACK").unwrap();
    assert_eq!(app.get("/users/alice/friends").status, 200);
    assert_eq!(app.get("/users/alice/friends/birthdays").status, 200);
}
