//! The roles that `migrate` makes: what they may do, what they may not, and how their passwords are kept and replaced.

use std::process::{Command, Output};

use crate::support::app::short_command;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::session::Session;

const APP: &str = "hello_app";
const BACKUP: &str = "hello_backup";
/// The only superuser.
const SUPERUSER: &str = "postgres";

/// A server of its own for a test, because roles belong to a whole server.
struct Roles {
    server: Server,
    folder: tempfile::TempDir,
}

impl Roles {
    fn new(name: &str, settings: &[&str]) -> Self {
        let server = Server::start(name, settings);
        server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
        let folder = tempfile::tempdir().unwrap();
        Self { server, folder }
    }

    /// Migrates as `role`, with these passwords of the two roles.
    fn migrate_as(&self, role: &str, app: &str, backup: &str) -> Output {
        let file = |name: &str, password: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, password).unwrap();
            path
        };
        short_command(&["migrate"])
            .env("DATABASE_URL", self.server.url(role, "hello"))
            .env("HELLO_APP_ROLE_PASSWORD_FILE", file("app", app))
            .env("HELLO_BACKUP_ROLE_PASSWORD_FILE", file("backup", backup))
            .output()
            .unwrap()
    }

    /// Migrates with the passwords that the other helpers expect; the log.
    fn migrate(&self) -> String {
        let output = self.migrate_as(OWNER, "secret", "secret");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        log
    }

    fn allows(&self, role: &str, sql: &str) -> bool {
        self.server.try_sql_as(role, "hello", sql)
    }

    fn session(&self, role: &str, password: &str) -> Session {
        Session::open(&self.server, role, password, "hello")
    }

    /// Whether a backup can be taken.
    fn dumps(&self) -> Result<(), String> {
        let output = Command::new(postgres::bin().join("pg_dump"))
            .args(["--format=custom", "--no-sync", "--file=/dev/null"])
            .arg(self.server.url(BACKUP, "hello"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(errors)
    }
}

#[test]
fn the_backup_reads_everything_of_the_owner_and_no_password() {
    let roles = Roles::new("roles-backup", &[]);
    roles.migrate();
    roles.server.sql(
        "hello",
        &format!(
            "SET ROLE {OWNER}; CREATE TABLE \"Other\" (id serial); CREATE VIEW seen AS SELECT 1; SELECT lo_create(0); \
             RESET ROLE; CREATE SCHEMA more AUTHORIZATION {OWNER}; SET ROLE {OWNER}; CREATE TABLE more.things ()"
        ),
    );
    // A foreign table, which the owner has no rights on, is no reason to fail.
    roles.server.sql("hello", "CREATE TABLE foreign_to_us ()");
    roles.migrate();
    roles.server.sql("hello", "DROP TABLE foreign_to_us");
    assert_eq!(roles.dumps(), Ok(()));
    assert!(!roles.allows(BACKUP, "SELECT rolpassword FROM pg_authid"));
    assert!(!roles.allows(BACKUP, "INSERT INTO users VALUES ('alice', '1990-01-01')"));
    assert!(!roles.allows(BACKUP, "SELECT nextval('\"Other_id_seq\"')"));
}

/// Earlier versions granted the right to read everything.
#[test]
fn the_right_to_read_all_passwords_is_taken_back() {
    let roles = Roles::new("roles-authid", &[]);
    roles.migrate();
    let grant = format!("SET ROLE {OWNER}; GRANT pg_read_all_data TO {BACKUP}");
    roles.server.sql("hello", &grant);
    assert!(roles.allows(BACKUP, "SELECT rolpassword FROM pg_authid"));
    roles.migrate();
    assert!(!roles.allows(BACKUP, "SELECT rolpassword FROM pg_authid"));
    // What a superuser granted, only a superuser takes back: it is reported.
    roles
        .server
        .sql("hello", &format!("GRANT pg_read_all_data TO {BACKUP}"));
    assert!(
        roles
            .migrate()
            .contains("can read the passwords of all roles")
    );
}

#[test]
fn large_objects_of_the_app_stop_no_backup() {
    let roles = Roles::new("roles-large-objects", &[]);
    assert!(roles.migrate().contains("a superuser has to forbid it"));
    let make = [
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
    ];
    for sql in make {
        assert!(roles.allows(APP, sql), "{sql}");
    }
    assert!(roles.dumps().is_err());
    let output = roles.migrate_as(SUPERUSER, "secret", "secret");
    assert!(output.status.success());
    assert_eq!(roles.dumps(), Ok(()), "those that exist can be read now");
    for sql in make {
        assert!(!roles.allows(APP, sql), "{sql}");
        assert!(!roles.allows(BACKUP, sql), "{sql}");
    }
    assert!(!roles.migrate().contains("large objects"));
}

/// The app's role can take any advisory lock, and some locks of tables.
#[test]
fn no_lock_of_the_app_holds_up_a_migration() {
    let roles = Roles::new("roles-locks", &[]);
    roles.migrate();
    let mut session = roles.session(APP, "secret");
    // Those that migrations took in earlier versions: this program's, and its library's.
    let library = "SELECT pg_advisory_lock(1026731422 * crc32('hello'))";
    let own = "SELECT pg_advisory_lock(5207014)";
    for sql in [library, own, "BEGIN", "SELECT 1 FROM _sqlx_migrations"] {
        session.run(sql).unwrap();
    }
    for mode in [
        "SHARE UPDATE EXCLUSIVE",
        "SHARE",
        "ROW EXCLUSIVE",
        "ACCESS EXCLUSIVE",
    ] {
        let sql = format!("BEGIN; LOCK TABLE _sqlx_migrations IN {mode} MODE");
        assert!(!roles.allows(APP, &sql), "{mode}");
        assert!(!roles.allows(BACKUP, &sql), "{mode}");
    }
    roles.migrate();
    assert_eq!(
        session.run("SELECT 'still there'").as_deref(),
        Some("still there")
    );
}

#[test]
fn a_new_password_ends_the_sessions_that_began_with_the_old_one() {
    let roles = Roles::new("roles-sessions", &[]);
    roles.migrate();
    let mut idle = roles.session(APP, "secret");
    let mut open = roles.session(APP, "secret");
    let mut backup = roles.session(BACKUP, "secret");
    for session in [&mut idle, &mut backup] {
        assert_eq!(session.run("SELECT 1").as_deref(), Some("1"));
    }
    assert_eq!(open.run("BEGIN; SELECT 2").as_deref(), Some("2"));

    roles.migrate();
    for session in [&mut idle, &mut open, &mut backup] {
        assert!(
            session.run("SELECT 1").is_some(),
            "the password is the same"
        );
    }

    let output = roles.migrate_as(OWNER, "rotated", "secret");
    assert!(output.status.success());
    assert_eq!(idle.run("SELECT 1"), None);
    assert_eq!(
        open.run("SELECT 1"),
        None,
        "although it held a transaction open"
    );
    assert!(backup.run("SELECT 1").is_some(), "its password is the same");
    let mut new = roles.session(APP, "rotated");
    assert_eq!(new.run("SELECT 3").as_deref(), Some("3"));
}

/// PostgreSQL lets each role change its own password. The next migration sets it again.
#[test]
fn a_password_that_a_role_gave_itself_is_replaced() {
    let roles = Roles::new("roles-own", &[]);
    roles.migrate();
    assert!(roles.allows(APP, "ALTER ROLE hello_app PASSWORD 'stolen'"));
    let mut thief = roles.session(APP, "stolen");
    assert_eq!(thief.run("SELECT 1").as_deref(), Some("1"));
    assert!(!roles.allows(APP, "SELECT 1"));
    roles.migrate();
    assert!(roles.allows(APP, "SELECT 1"));
    assert_eq!(thief.run("SELECT 1"), None);
}

/// Whatever the server logs: all statements, their values, and those that fail.
#[test]
fn no_password_reaches_the_log_of_the_server() {
    let settings = [
        "log_statement=all",
        "log_min_duration_statement=0",
        "log_parameter_max_length_on_error=-1",
        "log_min_error_statement=debug5",
    ];
    let roles = Roles::new("roles-log", &settings);
    let passwords = ["Pr1vate'of the app", "Pr1vate\\of the backup"];
    let migrate = |role: &str| {
        roles
            .migrate_as(role, passwords[0], passwords[1])
            .status
            .success()
    };
    assert!(migrate(OWNER));
    roles
        .server
        .sql("postgres", &format!("ALTER ROLE {OWNER} NOCREATEROLE"));
    assert!(!migrate(OWNER), "the statement fails");
    let log = roles.server.log();
    assert!(log.contains("ROLE hello_app LOGIN PASSWORD"), "{log}");
    assert!(!log.contains("Pr1vate"), "{log}");
    let mut session = roles.session(APP, passwords[0]);
    assert_eq!(session.run("SELECT 1").as_deref(), Some("1"));
}
