//! Migrations of a large database, while it is read, written and dumped.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::{last_line, migrate};
use crate::support::app::{App, JSON, command};
use crate::support::client::Connection;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::session::Session;
use crate::support::{LONG, eventually};

/// The second release's migration is missing. The later ones are there: this program serves on no older schema, as the
/// older program would.
const WITHOUT_INDEX: &str =
    "DROP INDEX users_by_birthday; DELETE FROM _sqlx_migrations WHERE version = 2";
/// The index is there, and of use.
const INDEXED: &str = "SELECT count(*) FROM pg_index WHERE indisvalid \
     AND indexrelid = to_regclass('users_by_birthday')";
/// Somebody waits to build it.
const WAITS: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() \
     AND wait_event_type = 'Lock' AND query LIKE '%INDEX%users_by_birthday%'";

fn people() -> u32 {
    let given = std::env::var("MIGRATION_PEOPLE").ok();
    given.map_or(200_000, |given| given.parse().unwrap())
}

fn fill(server: &Server, database: &str) {
    let fill = format!(
        "INSERT INTO users SELECT 'person' || translate(n::text, '0123456789', 'abcdefghij'), \
         DATE '1950-01-01' + n % 20000 FROM generate_series(1, {}) AS n",
        people()
    );
    server.sql(database, &fill);
    server.sql(database, WITHOUT_INDEX);
}

/// A dump that has begun to read the people, and goes on when its output is read.
struct Dump(Child);

impl Dump {
    fn start(server: &Server, database: &str) -> Self {
        let mut child = Command::new(postgres::bin().join("pg_dump"))
            .arg(server.url(OWNER, database))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = "SELECT count(*) > 0 FROM pg_stat_activity \
             WHERE datname = current_database() AND query LIKE 'COPY public.users%'";
        eventually("the dump reads the people", LONG, || {
            assert!(child.try_wait().unwrap().is_none(), "the dump has ended");
            server.sql(database, begun) == "t"
        });
        Self(child)
    }

    /// Lets it end; how many people it has.
    fn finish(mut self) -> usize {
        let mut text = String::new();
        let mut output = self.0.stdout.take().unwrap();
        output.read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success());
        text.lines().filter(|line| line.contains('\t')).count()
    }
}

/// Clients that read and write all the time, and what they got instead of an answer.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answers: AtomicU32,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn run(&self, app: &App, client: u32) {
        let mut connection = Connection::open(app.api);
        let target = format!("/hello/client{}", ["a", "b", "c", "d"][client as usize]);
        let mut turn = 0;
        while !self.over.load(Ordering::Relaxed) {
            turn += 1;
            let date = format!(r#"{{"dateOfBirth":"19{:02}-01-01"}}"#, turn % 90 + 10);
            for (method, headers, body) in [
                ("PUT", &[JSON][..], date.as_bytes()),
                ("GET", &[], &b""[..]),
            ] {
                let answer = connection.request(method, &target, headers, body);
                self.answers.fetch_add(1, Ordering::Relaxed);
                if answer.status / 100 != 2 {
                    let failure = format!("{method}: {} {}", answer.status, answer.text());
                    self.failures.lock().unwrap().push(failure);
                }
            }
        }
    }
}

/// Ends the load, also when the test fails.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// The old release serves on while the new one migrates. `MIGRATION_PEOPLE` says how many there are.
#[test]
fn a_large_database_is_migrated_while_it_serves_and_is_dumped_and_no_request_fails() {
    let (server, database) = (postgres::shared(), postgres::database());
    let url = server.url(OWNER, &database);
    fill(server, &database);
    let app = App::ready(&[("DATABASE_URL", &url)]);
    let load = Load::default();
    std::thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn({
                let (load, app) = (&load, &app);
                move || load.run(app, client)
            });
        }
        let over = Over(&load);
        let dump = Dump::start(server, &database);
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut migration = command(&["migrate"])
            .env("DATABASE_URL", &url)
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let text = || std::fs::read_to_string(log.path()).unwrap();
        eventually(
            "the migration waits for the dump, and says so",
            LONG,
            || text().contains("a migration waits") && text().contains("pg_dump"),
        );
        let before = load.answers.load(Ordering::Relaxed);
        eventually("people are served meanwhile", LONG, || {
            load.answers.load(Ordering::Relaxed) > before + 1000
        });
        assert!(migration.try_wait().unwrap().is_none());
        assert!(dump.finish() >= people() as usize);
        assert!(migration.wait().unwrap().success(), "{}", text());
        drop(over);
    });
    let failures = load.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failed: {:?}",
        failures.len(),
        failures[0]
    );
    assert_eq!(server.sql(&database, INDEXED), "1");
    assert!(
        migrate(&url, &[]).status.success(),
        "the schema is the released one"
    );
}

/// What a killed build leaves is of no use, and in the way.
#[test]
fn an_index_whose_build_was_killed_is_built_again() {
    let (server, database) = (postgres::shared(), postgres::database());
    let url = server.url(OWNER, &database);
    fill(server, &database);
    let dump = Dump::start(server, &database);
    let mut killed = command(&["migrate"])
        .env("DATABASE_URL", &url)
        .spawn()
        .unwrap();
    eventually("the build waits for the dump", LONG, || {
        server.sql(&database, WAITS) == "t"
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND query LIKE '%INDEX%users_by_birthday%' AND pid <> pg_backend_pid()";
    eventually("the server has noticed", LONG, || {
        server.sql(&database, left) == "0"
    });
    dump.finish();
    assert_eq!(server.sql(&database, INDEXED), "0");
    assert_ne!(
        server.sql(&database, "SELECT to_regclass('users_by_birthday')"),
        "",
        "it leaves an index that is of no use"
    );
    let output = migrate(&url, &[]);
    assert!(output.status.success(), "{}", last_line(&output));
    assert_eq!(server.sql(&database, INDEXED), "1");
}

/// An administrator's limits are for those who serve.
#[test]
fn settings_of_the_role_do_not_end_a_long_build() {
    let server = Server::start("limits", &[]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    assert!(migrate(&url, &[]).status.success());
    server.sql("hello", WITHOUT_INDEX);
    for setting in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        server.sql(
            "hello",
            &format!("ALTER ROLE {OWNER} SET {setting} = '500ms'"),
        );
    }
    let mut dump = Session::open(&server, "postgres", "secret", "hello");
    dump.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users");
    std::thread::scope(|scope| {
        let migration = scope.spawn(|| migrate(&url, &[]));
        eventually("the build waits", LONG, || {
            server.sql("hello", WAITS) == "t"
        });
        // Longer than the limit allows: only the time itself shows it.
        std::thread::sleep(Duration::from_secs(1));
        dump.run("COMMIT");
        let output = migration.join().unwrap();
        assert!(output.status.success(), "{}", last_line(&output));
    });
    assert_eq!(server.sql("hello", INDEXED), "1");
}
