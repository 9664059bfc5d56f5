//! Commands that are killed, or whose session is: run again, they end as if nothing had happened.

use std::process::{Child, Command};
use std::time::Duration;

use crate::backup::bench::{after, before, folder, names};
use crate::support::eventually;
use crate::support::postgres::{self, OWNER};
use crate::support::session::Session;

use super::bench::Restore;

/// From here on, whoever runs the statement `pause.at` names waits for the advisory lock 1 before it.
const PAUSE: &str = "CREATE SCHEMA pause; CREATE TABLE pause.at (tag text, skip int); CREATE SEQUENCE pause.seen; \
     CREATE FUNCTION pause.here() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
         IF tg_tag = (SELECT tag FROM pause.at) AND nextval('pause.seen') > (SELECT skip FROM pause.at) \
         THEN PERFORM pg_advisory_xact_lock(1); END IF; END $$; \
     CREATE EVENT TRIGGER pause ON ddl_command_start EXECUTE FUNCTION pause.here()";

/// The statements at which each command is killed, and how many of the same kind come before.
const STEPS: [(&str, &[(&str, u32)]); 4] = [
    (
        "stage",
        &[
            ("CREATE SCHEMA", 0),
            ("COMMENT", 0),
            ("CREATE TABLE", 1),
            ("CREATE INDEX", 0),
            ("COMMENT", 1), // after the rows
        ],
    ),
    (
        "swap",
        &[
            ("CREATE SCHEMA", 0),
            ("ALTER TABLE", 0),
            ("ALTER TABLE", 3),
            ("DROP SCHEMA", 0),
            ("COMMENT", 0),
        ],
    ),
    (
        "undo",
        &[
            ("CREATE SCHEMA", 0),
            ("ALTER TABLE", 5),
            ("DROP SCHEMA", 0),
            ("COMMENT", 0),
        ],
    ),
    ("discard", &[("DROP TABLE", 0), ("DROP SCHEMA", 0)]),
];

/// How whoever waits is ended.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Terminate,
}

/// Runs a command until it is about to run the statement, and ends it.
fn interrupt(restore: &Restore, command: &str, (tag, skip): (&str, u32), end: End) {
    restore.sql(&format!(
        "DELETE FROM pause.at; INSERT INTO pause.at VALUES ('{tag}', {skip}); SELECT setval('pause.seen', 1, false)"
    ));
    let mut session = Session::open(restore.server(), "postgres", "secret", &restore.database);
    session.run("SELECT pg_advisory_lock(1)").unwrap();
    let (mut program, _) = restore.command(command, "a", options(command));
    let mut child = program.spawn().unwrap();
    let waits = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(
        &format!("{command} comes to {tag}"),
        Duration::from_secs(120),
        || restore.sql(&format!("SELECT count(*) {waits}")) == "1",
    );
    match end {
        End::Kill => kill_children(&child),
        End::Terminate => drop(restore.sql(&format!("SELECT pg_terminate_backend(pid) {waits}"))),
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "{command} {tag}");
    if matches!(end, End::Terminate) {
        assert_eq!(status.code(), Some(69), "{command} {tag}");
    }
    // The server does not go on without its client.
    eventually("its session ends", Duration::from_secs(60), || {
        restore.sql(&format!("SELECT count(*) {waits}")) == "0"
    });
    drop(session);
    restore.sql("DELETE FROM pause.at");
}

/// The options of a command, with the consent that it needs.
fn options(command: &str) -> &'static [&'static str] {
    match command {
        "swap" | "undo" => &["--accept-data-loss"],
        _ => &[],
    }
}

/// `timeout` has one child: the program.
fn kill_children(child: &Child) {
    let sent = Command::new("pkill")
        .args(["-KILL", "-P", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn killed_at_every_statement(end: End) {
    let restore = Restore::new();
    restore.owner_sql("DELETE FROM users WHERE username = 'user-1'; INSERT INTO users VALUES ('new', '2001-01-01')");
    restore.sql(PAUSE);
    let before_it = restore.rows();
    for (command, steps) in STEPS {
        let live = restore.rows();
        for step in steps {
            interrupt(&restore, command, *step, end);
            assert_eq!(
                restore.rows(),
                live,
                "{command} {step:?}: the live data is untouched"
            );
        }
        let ended = restore.succeed(command, "a", options(command));
        match command {
            "stage" | "swap" => assert_eq!(ended.loss(), [1, 0, 2]),
            "undo" => assert_eq!(ended.loss(), [0, 0, 1]),
            _ => {}
        }
        let restored = restore.sql("SELECT count(*) FROM users WHERE username = 'user-1'");
        assert_eq!(restored == "1", command == "swap", "{command}");
    }
    assert_eq!(restore.rows(), before_it);
    assert_eq!(restore.schemas(), "");
}

#[test]
fn whoever_is_killed_at_any_statement_is_continued_by_a_second_run() {
    killed_at_every_statement(End::Kill);
}

#[test]
fn a_session_that_the_server_ends_is_an_error_that_may_pass() {
    killed_at_every_statement(End::Terminate);
}

#[test]
fn staging_that_is_killed_in_the_proof_leaves_nothing() {
    let mut restore = Restore::new();
    let objects = restore.everything();
    for (program, script) in [
        (
            "initdb",
            "kill -KILL $(ps -o ppid= $PPID); kill -KILL $PPID".to_owned(),
        ),
        ("pg_restore", before("kill -KILL $PPID")),
        ("pg_restore", after("kill -KILL $PPID")),
    ] {
        restore.backup.replace(program, &script);
        let (mut stage, _) = restore.command("stage", "b", &[]);
        assert!(!stage.output().unwrap().status.success(), "{script}");
        assert_eq!(restore.everything(), objects, "{script}");
        restore.backup.replace(program, "exec $REAL \"$@\"");
    }
    restore.succeed("stage", "b", &[]);
}

#[test]
fn a_signal_ends_the_throw_away_server_as_well() {
    let mut restore = Restore::new();
    let temporary = folder();
    restore.backup = restore
        .backup
        .variable("TMPDIR", temporary.path().to_str().unwrap())
        .script(
            "pg_restore",
            &before("touch $HELLO_BACKUP_DIRECTORY/begun; exec sleep 600"),
        );
    let (mut stage, result) = restore.command("stage", "d", &[]);
    let child = stage.spawn().unwrap();
    eventually("it restores", Duration::from_secs(120), || {
        restore.backup.path("begun").exists()
    });
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let reported = std::fs::read_to_string(result).unwrap();
    assert!(
        reported.contains("\"reason\":\"Interrupted\""),
        "{reported}"
    );
    assert_eq!(names(temporary.path()), [""; 0]);
    assert_eq!(restore.schemas(), "");
}

#[test]
fn a_signal_is_reported() {
    let restore = Restore::new();
    let mut session = Session::open(postgres::shared(), OWNER, "secret", &restore.database);
    session
        .run("BEGIN; LOCK TABLE _sqlx_migrations IN SHARE UPDATE EXCLUSIVE MODE")
        .unwrap();
    let (mut program, result) = restore.command("discard", "c", &[]);
    let child = program.spawn().unwrap();
    eventually("it waits for the lock", Duration::from_secs(60), || {
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
            restore.database
        );
        // This one, that of the test, and two of the program.
        restore.sql(&sessions) == "4"
    });
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let reported = std::fs::read_to_string(result).unwrap();
    assert!(
        reported.contains("\"reason\":\"Interrupted\""),
        "{reported}"
    );
}
