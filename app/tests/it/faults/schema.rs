//! The database is changed while the service runs, or is not one that it can use.

use super::recovers;
use crate::support::app::{App, short_command};
use crate::support::postgres::{self, OWNER};
use crate::support::{LONG, eventually};

/// As a later migration does it to the pods of this version.
#[test]
fn a_table_that_changes_costs_no_request() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
    for name in ["a", "b"] {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204
        );
    }
    let lists = ["/users?limit=5", "/users/a/friends"];
    for target in ["/hello/a"].iter().chain(&lists) {
        assert_eq!(app.get(target).status, 200);
    }
    for change in [
        "ALTER TABLE users ALTER username TYPE varchar(64) COLLATE \"C\"",
        "ALTER TABLE users ADD more text",
        "ALTER TABLE users ALTER username TYPE text COLLATE \"C\"",
    ] {
        server.sql(&database, change);
        for _ in 0..4 {
            assert_eq!(app.get("/hello/a").status, 200, "{change}");
            assert_eq!(
                app.put_date("/hello/b", "1990-01-01").status,
                204,
                "{change}"
            );
            for list in lists {
                assert_eq!(app.get(list).status, 200, "{list} after {change}");
            }
        }
        recovers(&app);
    }
}

#[test]
fn is_not_ready_while_nothing_can_be_read() {
    let (server, database) = (postgres::shared(), postgres::database());
    let app = App::ready(&[("DATABASE_URL", &server.url(OWNER, &database))]);
    for (breaks, mends) in [
        (
            "ALTER TABLE users RENAME TO gone",
            "ALTER TABLE gone RENAME TO users",
        ),
        (
            "ALTER TABLE users RENAME date_of_birth TO born",
            "ALTER TABLE users RENAME born TO date_of_birth",
        ),
    ] {
        server.sql(&database, breaks);
        eventually("it notices", LONG, || {
            app.get("/hello/a").status == 503 && app.admin("/readyz").status == 503
        });
        server.sql(&database, mends);
        eventually("it recovers", LONG, || app.admin("/readyz").status == 200);
        recovers(&app);
    }
}

#[test]
fn a_database_that_cannot_hold_all_names_is_refused_by_name() {
    let server = postgres::shared();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = format!("encoded_{}", encoding.to_lowercase());
        server.sql(
            "postgres",
            &format!(
                "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' OWNER {OWNER}"
            ),
        );
        let url = server.url(OWNER, &database);
        let output = short_command(&["migrate"])
            .env("DATABASE_URL", &url)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{error}");
        assert!(error.contains(encoding), "{error}");
        // One that an earlier version has migrated.
        server.sql(
            &database,
            "CREATE TABLE _sqlx_migrations (version bigint, success bool); INSERT INTO _sqlx_migrations VALUES (9999, true)",
        );
        server.sql(
            &database,
            &format!("ALTER TABLE _sqlx_migrations OWNER TO {OWNER}"),
        );
        let app = App::start(&[("DATABASE_URL", &url)]);
        eventually("the log says why", LONG, || app.log().contains(encoding));
        assert_eq!(app.admin("/readyz").status, 503);
    }
}
