//! What can be wrong with the database: each is named, and the next backup is clean.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::bench::{Bench, before, filled_database, programs_without, stderr};
use crate::support::app::command;
use crate::support::clock::SetClock;
use crate::support::eventually;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::session::Session;
use crate::support::tls_server;

const SOON: &str = "--lock-timeout=300ms";

#[test]
fn a_login_that_is_refused_is_named() {
    let server = postgres::shared();
    let database = filled_database();
    server.sql(
        &database,
        "CREATE ROLE backup_without_login NOLOGIN PASSWORD 'secret'",
    );
    for (url, expected) in [
        (
            server
                .url(OWNER, &database)
                .replace(":secret@", ":wrong-secret@"),
            "password authentication failed",
        ),
        (
            server.url("backup_without_login", &database),
            "not permitted to log in",
        ),
    ] {
        let bench = Bench::at(&url);
        let message = bench.fail("Privileges", &[]);
        assert!(message.contains(expected), "{message}");
        assert_eq!(bench.names(), [""; 0]);
    }
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let bench = Bench::new("nonexistent");
    let message = bench.fail("DumpFailed", &[]);
    assert!(
        message.contains("\"nonexistent\" does not exist"),
        "{message}"
    );
    let port = postgres::free_port();
    let bench = Bench::at(&postgres::shared().url_at(OWNER, "x", port));
    let message = bench.fail("DumpFailed", &[]);
    assert!(message.contains("cannot be reached"), "{message}");
}

#[test]
fn a_server_that_stops_during_the_dump_is_named() {
    let name = "stops-during-dump";
    let server = Server::start(name, &[]);
    let data =
        std::env::temp_dir().join(format!("hello-postgres-{}-{name}/data", std::process::id()));
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    server.sql("hello", "CREATE TABLE a AS SELECT generate_series(1, 9) n");
    let stop = format!(
        "kill -QUIT $(head -n 1 {0}/postmaster.pid); while [ -e {0}/postmaster.pid ]; do sleep 0.1; done",
        data.display()
    );
    let bench = Bench::at(&server.url("postgres", "hello")).script("pg_dump", &before(&stop));
    let message = bench.fail("DumpFailed", &[]);
    assert!(
        message.contains("onnect") || message.contains("database:"),
        "{message}"
    );
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_locked_table_is_not_waited_for_for_ever() {
    let (server, database) = (postgres::shared(), filled_database());
    let bench = Bench::new(&database);
    let mut session = Session::open(server, OWNER, "secret", &database);
    session.run("BEGIN; LOCK TABLE friendships").unwrap();
    let message = bench.fail("Locked", &[SOON]);
    assert!(message.contains("lock timeout"), "{message}");
    assert_eq!(bench.names(), [""; 0]);
    session.run("ROLLBACK").unwrap();
    bench.succeed(&[SOON]);

    // Somebody waits for the table since the snapshot was taken, and pg_dump behind him.
    let url = server.url("postgres", &database);
    let psql = postgres::bin().join("psql");
    let script = format!(
        "{psql} -qc 'BEGIN; LOCK TABLE friendships; ROLLBACK' {url} >/dev/null 2>&1 &\n\
         until {psql} -tAc \"SELECT 'waits' FROM pg_locks WHERE NOT granted AND relation = 'friendships'::regclass\" \
             {url} | grep -q waits; do sleep 0.05; done",
        psql = psql.display()
    );
    let bench = Bench::new(&database).script("pg_dump", &before(&script));
    let message = bench.fail("Locked", &[SOON]);
    assert!(message.contains("friendships"), "{message}");
}

#[test]
fn a_migration_is_waited_for() {
    let (server, database) = (postgres::shared(), filled_database());
    // The last migration is to be done again, and cannot: somebody writes.
    server.sql(
        &database,
        "DROP TABLE friendships; DELETE FROM _sqlx_migrations WHERE version = 3",
    );
    let mut session = Session::open(server, OWNER, "secret", &database);
    session
        .run("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")
        .unwrap();
    let mut migration = command(&["migrate"])
        .env("DATABASE_URL", server.url(OWNER, &database))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = '_sqlx_migrations'::regclass \
                  AND mode = 'ShareUpdateExclusiveLock'";
    eventually("the migration runs", Duration::from_secs(60), || {
        server.sql(&database, locked) == "1"
    });
    let bench = Bench::new(&database);
    let message = bench.fail("Locked", &[SOON]);
    assert!(message.contains("migration"), "{message}");
    let patient = bench
        .run_command(&[])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    session.run("ROLLBACK").unwrap();
    let output = patient.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(migration.wait().unwrap().success());
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["schemaVersion"], 3);
}

#[test]
fn what_the_role_may_not_read_is_named() {
    let (server, database) = (postgres::shared(), filled_database());
    let bench = Bench::new(&database);
    // The owner of the tests reads everything; this one does not.
    server.sql(
        &database,
        "CREATE ROLE backup_of_some LOGIN PASSWORD 'secret'; GRANT SELECT ON users, _sqlx_migrations TO backup_of_some",
    );
    let partial = Bench::at(&server.url("backup_of_some", &database));
    let message = partial.fail("Privileges", &[]);
    for table in ["public.friendships", "public.parts", "odd one"] {
        assert!(message.contains(table), "{message}");
    }
    assert!(!message.contains("public.users"), "{message}");

    server.sql(
        &database,
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    );
    let message = bench.fail("Privileges", &[]);
    assert!(
        message.contains("row security") && message.contains("public.users"),
        "{message}"
    );
    server.sql(&database, "ALTER TABLE users DISABLE ROW LEVEL SECURITY");

    let object = server.sql(&database, "SELECT lo_from_bytea(0, 'x')");
    let message = bench.fail("Privileges", &[]);
    assert!(
        message.contains(&format!("large objects {object}:")),
        "{message}"
    );
    server.sql(
        &database,
        &format!("GRANT SELECT ON LARGE OBJECT {object} TO {OWNER}"),
    );
    assert_eq!(bench.names(), [""; 0]);
    bench.succeed(&[]);
}

#[test]
fn roles_that_only_production_has_are_no_obstacle() {
    let (server, database) = (postgres::shared(), filled_database());
    server.sql(
        &database,
        "CREATE ROLE \"a \"\"reader\"\"\"; GRANT SELECT ON users TO \"a \"\"reader\"\"\"; \
         CREATE ROLE maker; CREATE TABLE made (n int); ALTER TABLE made OWNER TO maker",
    );
    Bench::new(&database).succeed(&[]);
}

#[test]
fn another_encoding_is_refused() {
    let server = postgres::shared();
    server.sql(
        "postgres",
        &format!("CREATE DATABASE latin OWNER {OWNER} TEMPLATE template0 ENCODING 'LATIN1'"),
    );
    let message = Bench::new("latin").fail("DumpFailed", &[]);
    assert!(
        message.contains("LATIN1") && message.contains("ENCODING 'UTF8'"),
        "{message}"
    );
}

#[test]
fn an_extension_that_the_programs_lack_is_named() {
    let (_copy, bin) = programs_without("citext");
    let database = filled_database();
    postgres::shared().sql(&database, "CREATE EXTENSION citext");
    let bench = Bench::new(&database);
    let message = bench.fail("RestoreFailed", &["--pg-bin", bin.to_str().unwrap()]);
    assert!(message.contains("extensions citext"), "{message}");
    assert_eq!(bench.names(), [""; 0]);
    bench.succeed(&[]);
}

#[test]
fn older_programs_are_named() {
    let bench = Bench::new(&filled_database());
    let old = tls_server::bin();
    let message = bench.fail("ToolTooOld", &["--pg-bin", old.to_str().unwrap()]);
    assert!(message.contains("a server of PostgreSQL 18"), "{message}");
    let message = bench.fail("DumpFailed", &["--pg-bin=/nonexistent"]);
    assert!(message.contains("cannot run pg_dump"), "{message}");
}

#[test]
fn an_older_server_is_backed_up_with_newer_programs() {
    let server = Server::start_from(&tls_server::bin(), "older-server", &["jit=off"]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    let migrated = command(&["migrate"])
        .env("DATABASE_URL", &url)
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    server.sql(
        "hello",
        "INSERT INTO users VALUES ('José', '2000-02-29'); SELECT lo_from_bytea(0, 'foreign')",
    );
    let bench = Bench::at(&url);
    let message = bench.fail("Privileges", &[]);
    assert!(message.contains("large objects"), "{message}");
    server.sql(
        "hello",
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
    );
    bench.succeed(&[]);
}

#[test]
fn a_clock_that_is_wrong_is_named_and_harms_nothing() {
    let database = filled_database();
    for days in [400, -400] {
        let clock = SetClock::new(Utc::now() + TimeDelta::days(days));
        let mut bench = Bench::new(&database);
        let set = bench.succeed(&["--keep-last=1"])["set"].clone();
        for (name, value) in clock.variables() {
            bench = bench.variable(name, value);
            if name == "FAKETIME_TIMESTAMP_FILE" {
                let readable = std::fs::Permissions::from_mode(0o644);
                std::fs::set_permissions(value, readable).unwrap();
            }
        }
        let message = bench.fail("ClockSkew", &["--keep-last=1"]);
        assert!(message.contains("clock"), "{message}");
        assert_eq!(bench.list()[0]["name"], set);
    }
}

#[test]
fn a_dump_of_another_kind_of_database_is_refused() {
    let bench = Bench::at("sqlite::memory:");
    let message = bench.fail("DumpFailed", &[]);
    assert!(message.contains("postgres://"), "{message}");
    let output = command(&[
        "backup",
        "run",
        "--keep-last=0",
        "--format=zip",
        "--directory=/tmp",
    ])
    .output()
    .unwrap();
    for name in ["DATABASE_URL", "KEEP_LAST", "FORMATS"] {
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
}
