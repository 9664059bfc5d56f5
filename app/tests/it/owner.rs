//! The script that the operator's managed server runs to give the owner of the database its rights, on a real server.

use std::process::Command;

use crate::support::app::short_command;
use crate::support::postgres::{self, OWNER, Server};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../operator/src/service/children/database/owner.sh"
);
const PASSWORD: &str = "o'wner\\s";

/// A server on which everybody may log in, as over the socket of the real one.
fn trusting(name: &str) -> Server {
    let server = Server::start(name, &["log_statement=all", "log_min_duration_statement=0"]);
    server.access("host all all 127.0.0.1/32 trust");
    server.sql("postgres", "CREATE DATABASE hello");
    server
}

fn run(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("owner-password"), PASSWORD).unwrap();
    let programs = format!("{}:/usr/bin:/bin", postgres::bin().display());
    let output = Command::new("timeout")
        .args(["60", "bash", SCRIPT])
        .env_clear()
        .envs([
            ("PATH", programs.as_str()),
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &server.port.to_string()),
            ("POSTGRES_DB", "hello"),
            ("PASSWORDS", folder.path().to_str().unwrap()),
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
}

/// Migrates with the password that the script has set.
fn migrate(server: &Server) {
    server
        .access("host all hello_owner 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret").unwrap();
    let url = server
        .url(OWNER, "hello")
        .replace(":secret@", ":o%27wner%5Cs@");
    let output = short_command(&["migrate"])
        .env("DATABASE_URL", url)
        .env("HELLO_APP_ROLE_PASSWORD_FILE", &file)
        .env("HELLO_BACKUP_ROLE_PASSWORD_FILE", &file)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(
        !log.contains("WARN"),
        "nothing is left to a superuser: {log}"
    );
}

/// What holds afterwards, whatever was before.
fn check(server: &Server) {
    let superusers = "SELECT string_agg(rolname, ' ') FROM pg_authid WHERE rolsuper";
    assert_eq!(server.sql("hello", superusers), "postgres");
    let password = "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'";
    assert_eq!(server.sql("hello", password), "t");
    assert!(
        !server.log().contains("wner\\s"),
        "the password is in the log"
    );
    let allowed = |role: &str, sql: &str| server.try_sql_as(role, "hello", sql);
    for sql in [
        "SELECT lo_create(0)",
        "CREATE TEMPORARY TABLE t ()",
        "CREATE TABLE t ()",
    ] {
        assert!(!allowed("hello_app", sql), "{sql}");
    }
    assert!(allowed(
        "hello_app",
        "INSERT INTO users VALUES ('alice', '1990-01-01')"
    ));
    assert!(!allowed("hello_backup", "SELECT * FROM pg_authid"));
    assert!(!server.try_sql_as("hello_app", "postgres", "SELECT 1"));
    let dump = Command::new(postgres::bin().join("pg_dump"))
        .args(["--no-sync", "--format=custom", "--file=/dev/null"])
        .arg(server.url("hello_backup", "hello"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&dump.stderr);
    assert!(dump.status.success(), "{errors}");
}

#[test]
fn the_owner_of_a_new_cluster_is_no_superuser() {
    let server = trusting("owner-new");
    server.sql(
        "postgres",
        &format!("DROP OWNED BY {OWNER}; DROP ROLE {OWNER}"),
    );
    run(&server);
    run(&server);
    migrate(&server);
    check(&server);
}

/// In clusters of earlier versions the owner is the superuser that the cluster was created with.
#[test]
fn the_owner_of_an_older_cluster_becomes_an_ordinary_role() {
    let server = trusting("owner-old");
    server.sql(
        "postgres",
        &format!(
            "DROP OWNED BY {OWNER}; DROP ROLE {OWNER}; CREATE ROLE other SUPERUSER LOGIN; \
             CREATE ROLE hello_app LOGIN; CREATE ROLE hello_backup LOGIN; \
             GRANT pg_read_all_data TO hello_backup"
        ),
    );
    assert!(server.try_sql_as(
        "other",
        "hello",
        &format!("ALTER ROLE postgres RENAME TO {OWNER}")
    ));
    let objects = "CREATE TABLE old (id serial PRIMARY KEY, more int GENERATED ALWAYS AS IDENTITY); \
        CREATE TABLE \"Odd Name\" (); CREATE VIEW seen AS SELECT * FROM old; \
        CREATE MATERIALIZED VIEW kept AS SELECT 1; CREATE SEQUENCE numbers; \
        CREATE SCHEMA \"More\"; CREATE TABLE \"More\".things (); CREATE TYPE \"More\".pair AS (a int); \
        CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN small AS int; CREATE TYPE span AS RANGE (subtype = float8); \
        CREATE FUNCTION f(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
        CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE added(int) (sfunc = int4pl, stype = int); \
        SELECT lo_create(4711); GRANT SELECT ON old TO hello_app; DROP ROLE other";
    assert!(server.try_sql_as(OWNER, "hello", objects));
    run(&server);
    let left = "SELECT count(*) FROM (SELECT relnamespace AS schema FROM pg_class WHERE relowner = 'postgres'::regrole \
        UNION ALL SELECT pronamespace FROM pg_proc WHERE proowner = 'postgres'::regrole \
        UNION ALL SELECT typnamespace FROM pg_type WHERE typowner = 'postgres'::regrole \
        UNION ALL SELECT oid FROM pg_namespace WHERE nspowner = 'postgres'::regrole) AS owned \
        WHERE schema::regnamespace::text !~ '^(pg_|information_schema)'";
    assert_eq!(server.sql("hello", left), "0");
    run(&server);
    migrate(&server);
    check(&server);
    let owner = "SELECT lomowner::regrole FROM pg_largeobject_metadata WHERE oid = 4711";
    assert_eq!(server.sql("hello", owner), OWNER);
    assert!(server.try_sql_as("hello_app", "hello", "SELECT * FROM old"));
}
