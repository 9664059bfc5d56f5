//! `migrate`: repeatable, safe to run twice at once, and clear about errors.

mod online;

use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::app::{App, command, short_command};
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;
use crate::support::{LONG, eventually};

fn migrate(url: &str, arguments: &[&str]) -> Output {
    short_command(&["migrate"])
        .args(arguments)
        .env("DATABASE_URL", url)
        .output()
        .unwrap()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn can_be_run_again_and_at_the_same_time() {
    let server = postgres::shared();
    // How far one has come when another begins is different each time.
    for round in 0..4 {
        let database = format!("twice_{round}");
        let create = format!("CREATE DATABASE {database} OWNER {OWNER}");
        server.sql("postgres", &create);
        let url = server.url(OWNER, &database);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let output = migrate(&url, &[]);
                    assert!(output.status.success(), "{}", last_line(&output));
                });
            }
        });
        assert!(migrate(&url, &[]).status.success());
        let applied = "SELECT count(*) FROM _sqlx_migrations WHERE version = 1";
        assert_eq!(server.sql(&database, applied), "1");
    }
}

#[test]
fn finds_the_table_that_another_one_is_creating() {
    let server = postgres::shared();
    let create = format!("CREATE DATABASE half_created OWNER {OWNER}");
    server.sql("postgres", &create);
    // The row of the type is the one that a session finds when the table was created while it looked.
    server.sql("half_created", "CREATE DOMAIN _sqlx_migrations AS text");
    let url = server.url(OWNER, "half_created");
    let tried = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'half_created' \
         AND pid <> pg_backend_pid() AND query LIKE '%CREATE TABLE IF NOT EXISTS%'";
    std::thread::scope(|scope| {
        let migration = scope.spawn(|| migrate(&url, &[]));
        eventually("it tries", LONG, || {
            migration.is_finished() || server.sql("postgres", tried) == "t"
        });
        server.sql("half_created", "DROP DOMAIN _sqlx_migrations");
        let output = migration.join().unwrap();
        assert!(output.status.success(), "{}", last_line(&output));
    });
}

#[test]
fn refuses_a_schema_that_was_tampered_with() {
    let database = postgres::database();
    let server = postgres::shared();
    server.sql(
        &database,
        "UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 1",
    );
    let output = migrate(&server.url(OWNER, &database), &[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(
        last_line(&output).contains("migration 1 was changed"),
        "{}",
        last_line(&output)
    );
}

#[test]
fn leaves_a_schema_alone_that_is_newer_than_the_program_and_says_so() {
    let server = postgres::Server::start("newer", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    let folder = tempfile::tempdir().unwrap();
    let (password, report) = (folder.path().join("password"), folder.path().join("report"));
    let arguments = [
        "--app-role-password-file",
        password.to_str().unwrap(),
        "--report-file",
        report.to_str().unwrap(),
    ];
    std::fs::write(&password, "first").unwrap();
    assert!(migrate(&url, &arguments).status.success());
    let known = server.sql("hello", "SELECT max(version) FROM _sqlx_migrations");
    assert_eq!(
        std::fs::read_to_string(&report).unwrap(),
        format!("the schema is at version {known}")
    );
    // A later release has another table, which the role may not read.
    server.sql(
        "hello",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, '', 0); CREATE TABLE later (); ",
    );
    let tables = "SELECT string_agg(relname || coalesce(relacl::text, ''), ' ' ORDER BY relname) \
         FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    let before = server.sql("hello", tables);
    std::fs::write(&password, "secret").unwrap();
    let secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'hello_app'";
    let old = server.sql("hello", secret);
    let output = migrate(&url, &arguments);
    assert!(output.status.success(), "{}", last_line(&output));
    assert_eq!(server.sql("hello", tables), before);
    assert_ne!(
        server.sql("hello", secret),
        old,
        "passwords follow all the same"
    );
    let line = std::fs::read_to_string(&report).unwrap();
    assert!(
        line.contains("version 9000") && line.contains("was not changed"),
        "{line}"
    );
    // A server that was restored without its roles gets them, with their rights.
    server.sql("hello", "DROP OWNED BY hello_app; DROP ROLE hello_app");
    assert!(migrate(&url, &arguments).status.success());
    assert!(server.try_sql_as("hello_app", "hello", "SELECT * FROM users"));
}

#[test]
fn leaves_an_embedded_schema_alone_that_is_newer_than_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("x.db").display());
    assert!(migrate(&url, &[]).status.success());
    let options = url.parse::<sqlx::sqlite::SqliteConnectOptions>().unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, x'00', 0)";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        use sqlx::{ConnectOptions, Connection};
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let output = migrate(&url, &[]);
    assert!(output.status.success(), "{}", last_line(&output));
    let app = App::ready(&[("DATABASE_URL", &url)]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
}

/// What Kubernetes decides by: 65 is final, and anything else is tried again.
#[test]
fn the_exit_code_says_whether_another_attempt_may_help() {
    let server = postgres::shared();
    server.sql("postgres", &format!("CREATE DATABASE broken OWNER {OWNER}"));
    let url = server.url(OWNER, "broken");
    server.sql("broken", "CREATE TABLE users (other int)");
    let output = migrate(&url, &[]);
    assert_eq!(output.status.code(), Some(65), "{}", last_line(&output));
    // A standby that is being promoted, and a server that takes no more connections.
    for setting in ["default_transaction_read_only = on", "CONNECTION LIMIT 0"] {
        let set = if setting.contains('=') { "SET" } else { "" };
        server.sql(
            "postgres",
            &format!("ALTER DATABASE broken {set} {setting}"),
        );
        let output = migrate(&url, &["--wait-timeout", "300ms"]);
        assert_eq!(
            output.status.code(),
            Some(69),
            "{setting}: {}",
            last_line(&output)
        );
    }
    let output = migrate("mysql://db/hello", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", last_line(&output));
}

/// A writer that does not end holds up a migration, but nobody waits behind the migration for long.
#[test]
fn tries_again_while_a_table_is_locked() {
    let (server, database) = (postgres::shared(), postgres::database());
    server.sql(
        &database,
        "DROP TABLE friendships; DELETE FROM _sqlx_migrations WHERE version > 2",
    );
    let url = server.url(OWNER, &database);
    let mut writer = Session::open(server, OWNER, "secret", &database);
    writer.run("BEGIN; INSERT INTO users VALUES ('alice', '1990-01-01')");
    let waiting = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    );
    std::thread::scope(|scope| {
        let migration = scope.spawn(|| migrate(&url, &[]));
        eventually("the migration waits", LONG, || {
            server.sql("postgres", &waiting) == "t"
        });
        // Behind the migration, which conflicts with writers: it must step aside.
        for name in ["bob", "carol"] {
            server.sql(
                &database,
                &format!("INSERT INTO users VALUES ('{name}', '1990-01-01')"),
            );
        }
        eventually("it tries again", LONG, || {
            server.sql("postgres", &waiting) == "t"
        });
        writer.run("COMMIT");
        let output = migration.join().unwrap();
        assert!(output.status.success(), "{}", last_line(&output));
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(
            log.contains("a table is locked") && log.contains(OWNER),
            "{log}"
        );
    });
    assert_eq!(server.sql(&database, "SELECT count(*) FROM users"), "3");
}

#[test]
fn gives_up_when_the_database_stays_away() {
    let url = format!("postgres://u:secret@127.0.0.1:{}/db", postgres::free_port());
    let started = Instant::now();
    let output = migrate(&url, &["--wait-timeout", "600ms"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(started.elapsed() < Duration::from_secs(50));
    let line = last_line(&output);
    assert!(line.contains("could not be reached within 600ms"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn makes_roles_with_just_the_rights_they_need() {
    // Roles belong to a whole server, so this test has one of its own.
    let server = postgres::Server::start("roles", &[]);
    let database = "hello".to_owned();
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    let arguments = [
        "--app-role-password-file",
        password.to_str().unwrap(),
        "--backup-role-password-file",
        password.to_str().unwrap(),
    ];
    // The password is exactly the content of the file, with any characters, also after a change.
    for text in ["o'ne\\", "secret"] {
        std::fs::write(&password, format!("{text}\n")).unwrap();
        let output = migrate(&server.url(OWNER, &database), &arguments);
        assert!(output.status.success(), "{}", last_line(&output));
    }
    let allowed = |role: &str, sql: &str| server.try_sql_as(role, &database, sql);
    for sql in [
        "INSERT INTO users VALUES ('alice', '1990-01-01')",
        "UPDATE users SET date_of_birth = '1991-01-01'",
        "SELECT * FROM users",
        "SELECT * FROM _sqlx_migrations",
        "SELECT * FROM friendships",
        "UPDATE friendships SET accepted = true",
        "DELETE FROM friendships",
        "DELETE FROM users",
    ] {
        assert!(allowed("hello_app", sql), "{sql}");
    }
    for sql in [
        "TRUNCATE users",
        "TRUNCATE friendships",
        "DROP TABLE users",
        "ALTER TABLE users ADD x int",
        "CREATE TABLE x ()",
        "DELETE FROM _sqlx_migrations",
        "CREATE ROLE x",
    ] {
        assert!(!allowed("hello_app", sql), "{sql}");
    }
    assert!(allowed("hello_backup", "SELECT * FROM users"));
    assert!(!allowed(
        "hello_backup",
        "INSERT INTO users VALUES ('alice', '1990-01-01')"
    ));
    std::fs::write(&password, "").unwrap();
    let output = migrate(&server.url(OWNER, &database), &arguments);
    assert_eq!(
        output.status.code(),
        Some(1),
        "an empty password is refused"
    );
}

#[test]
fn needs_a_database_and_reads_its_url_from_a_file() {
    let output = command(&["migrate"]).output().unwrap();
    assert!(last_line(&output).contains("(DATABASE_URL_FILE): one of them is required"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = format!("sqlite://{}\n", folder.path().join("x.db").display());
    std::fs::write(&file, url).unwrap();
    let output = command(&["migrate"])
        .env("DATABASE_URL_FILE", &file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", last_line(&output));
    assert!(folder.path().join("x.db").exists());
}

#[test]
fn refuses_an_embedded_schema_that_was_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    std::fs::write(
        &file,
        "this is not a database, and long enough to be read as one",
    )
    .unwrap();
    let output = migrate(&format!("sqlite://{}", file.display()), &[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(
        last_line(&output).contains("not a database"),
        "{}",
        last_line(&output)
    );
}
