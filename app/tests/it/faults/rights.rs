//! The role of the service may not do all that the service does.

use std::sync::atomic::{AtomicU32, Ordering};

use super::assert_unavailable;
use crate::support::app::{App, status_at_last};
use crate::support::client::Answer;
use crate::support::postgres;
use crate::support::{LONG, eventually};

/// What may be done, and to which table.
type Right = (&'static str, &'static str);
type Request<'a> = &'a dyn Fn() -> Answer;

/// All that the service does.
const RIGHTS: [Right; 8] = [
    ("SELECT", "users"),
    ("INSERT", "users"),
    ("UPDATE", "users"),
    ("DELETE", "users"),
    ("SELECT", "friendships"),
    ("INSERT", "friendships"),
    ("UPDATE", "friendships"),
    ("DELETE", "friendships"),
];

/// A role with all rights, and its database.
struct Role {
    database: String,
    role: String,
}

impl Role {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let role = format!("hello_rights_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let database = postgres::database();
        let created = Self { database, role };
        let role = &created.role;
        created.sql(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT ON _sqlx_migrations TO {role}"
        ));
        for (privilege, table) in RIGHTS {
            created.grant(privilege, table);
        }
        created
    }

    fn url(&self) -> String {
        postgres::shared().url(&self.role, &self.database)
    }

    fn sql(&self, sql: &str) -> String {
        postgres::shared().sql(&self.database, sql)
    }

    fn grant(&self, privilege: &str, table: &str) {
        self.sql(&format!("GRANT {privilege} ON {table} TO {}", self.role));
    }

    fn revoke(&self, privilege: &str, table: &str) {
        self.sql(&format!("REVOKE {privilege} ON {table} FROM {}", self.role));
    }
}

fn metric((privilege, table): Right) -> String {
    format!(r#"hello_store_lacking_rights{{privilege="{privilege}",table="{table}"}} 1"#)
}

fn is_counted(app: &App, right: Right) -> bool {
    app.admin("/metrics").text().contains(&metric(right))
}

fn befriend(app: &App, user: &str, friend: &str) -> Answer {
    app.request("PUT", &format!("/users/{user}/friends/{friend}"), &[], b"")
}

#[test]
fn a_right_that_is_lacking_at_the_start_is_named_until_it_is_granted() {
    std::thread::scope(|scope| {
        for (privilege, table) in RIGHTS {
            scope.spawn(move || {
                let role = Role::new();
                role.revoke(privilege, table);
                let app = App::start(&[("DATABASE_URL", &role.url())]);
                let name = format!("lacks rights: {privilege} on {table}\"");
                eventually("the log names it", LONG, || app.log().contains(&name));
                assert_eq!(app.admin("/readyz").status, 503, "{name}");
                eventually("it is counted", LONG, || {
                    is_counted(&app, (privilege, table))
                });
                role.grant(privilege, table);
                eventually("it is ready", LONG, || app.admin("/readyz").status == 200);
                eventually("nothing is lacking", LONG, || {
                    !is_counted(&app, (privilege, table))
                });
            });
        }
    });
}

#[test]
fn a_schema_that_the_role_may_not_use_is_not_taken_for_an_empty_database() {
    let role = Role::new();
    role.sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
    let app = App::start(&[("DATABASE_URL", &role.url())]);
    eventually("the log names it", LONG, || {
        app.log().contains("lacks rights: USAGE on schema\"")
    });
    assert_eq!(app.admin("/readyz").status, 503);
    role.sql(&format!("GRANT USAGE ON SCHEMA public TO {}", role.role));
    eventually("it is ready", LONG, || app.admin("/readyz").status == 200);
}

#[test]
fn a_right_that_is_revoked_fails_its_callers_and_costs_no_connection() {
    let role = Role::new();
    let app = App::ready(&[("DATABASE_URL", &role.url())]);
    for name in ["alice", "bob", "carol"] {
        let target = format!("/hello/{name}");
        assert_eq!(app.put_date(&target, "1990-01-01").status, 204);
    }
    assert_eq!(befriend(&app, "alice", "bob").status, 201);
    let delete = |target: &str| app.request("DELETE", target, &[], b"");
    // What needs the right, and what it answers again when it has it.
    let requests: [(Right, Request<'_>, u16); 7] = [
        (
            ("INSERT", "users"),
            &|| app.put_date("/hello/new", "1990-01-01"),
            204,
        ),
        (
            ("UPDATE", "users"),
            &|| app.put_date("/hello/bob", "1990-01-02"),
            204,
        ),
        (("DELETE", "users"), &|| delete("/hello/new"), 204),
        (
            ("SELECT", "friendships"),
            &|| app.get("/users/alice/friends"),
            200,
        ),
        (
            ("INSERT", "friendships"),
            &|| befriend(&app, "alice", "carol"),
            201,
        ),
        (
            ("UPDATE", "friendships"),
            &|| befriend(&app, "bob", "alice"),
            200,
        ),
        (
            ("DELETE", "friendships"),
            &|| delete("/users/alice/friends/bob"),
            204,
        ),
    ];
    for (right, request, answer) in requests {
        role.revoke(right.0, right.1);
        for _ in 0..15 {
            assert_unavailable(&request());
            assert_eq!(app.get("/hello/alice").status, 200, "{right:?}");
        }
        eventually("reads are answered", LONG, || {
            app.admin("/readyz").status == 200
        });
        eventually("it is counted", LONG, || is_counted(&app, right));
        let named = format!("\"lacking\":\"{} on {}\"", right.0, right.1);
        eventually("it is logged", LONG, || app.log().contains(&named));
        // More than once when connections hear of a change in another order than the server told them.
        let times = app.log().matches(&named).count();
        assert!(times < 10, "not with each request: {right:?} {times} times");
        role.grant(right.0, right.1);
        // A connection that a busy machine lost meanwhile is opened again first.
        assert_eq!(status_at_last(request), answer, "{right:?}");
        eventually("nothing is lacking", LONG, || !is_counted(&app, right));
    }
    let log = app.log();
    let mut lost = log
        .lines()
        .filter(|line| line.contains("lost a database connection"));
    assert!(
        !lost.any(|line| line.contains("permission denied")),
        "{log}"
    );
}

#[test]
fn nothing_is_ready_without_the_right_to_read() {
    let role = Role::new();
    let app = App::ready(&[("DATABASE_URL", &role.url())]);
    let get = || app.get("/hello/alice").status;
    assert_eq!(get(), 404);
    role.revoke("SELECT", "users");
    eventually("it is noticed", LONG, || {
        get() == 503 && app.admin("/readyz").status == 503
    });
    eventually("the log names it", LONG, || {
        app.log().contains("lacks rights: SELECT on users\"")
    });
    role.grant("SELECT", "users");
    eventually("it is ready", LONG, || app.admin("/readyz").status == 200);
    assert_eq!(get(), 404);
}
