//! What can be wrong around a restore: each is named, the live data is as it was, and the next attempt succeeds.

use std::time::Duration;

use crate::backup::bench::{Bench, filled_database, programs_without};
use crate::backup::bucket::Store;
use crate::support::app::short_command;
use crate::support::postgres::{self, OWNER, Server};
use crate::support::proxy::{Mode, Proxy};
use crate::support::s3::{Action, Seen};
use crate::support::{succeed, tls_server};

use super::bench::Restore;

/// Which requests fail, how, how the command ends, and what it says.
type Fault = (
    fn(&Seen) -> bool,
    fn() -> Action,
    (&'static str, i32),
    &'static str,
);

fn all(_: &Seen) -> bool {
    true
}

fn dump(seen: &Seen) -> bool {
    seen.line.ends_with(".dump")
}

const FAILED: (&str, i32) = ("Failed", 69);

/// Network policies refuse a pod that has just started, until every node knows its address.
#[test]
fn a_network_that_does_not_know_the_pod_yet_is_waited_for() {
    let mut restore = Restore::new();
    let proxy = Proxy::start(restore.server().port);
    let port = proxy.address.port();
    restore.backup.url = restore.server().url_at(OWNER, &restore.database, port);
    let known_later = || {
        proxy.set(Mode::Refuse);
        let proxy = proxy.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            proxy.set(Mode::Pass);
        })
    };
    let known = known_later();
    restore.backup.succeed(&[]);
    known.join().unwrap();
    for command in ["stage", "swap", "undo", "discard"] {
        let known = known_later();
        restore.succeed(command, "new-pod", &[]);
        known.join().unwrap();
    }
}
const MISMATCH: (&str, i32) = ("Mismatch", 65);

const FAULTS: [Fault; 8] = [
    (
        all,
        || Action::Answer(403, "<Error><Code>AccessDenied</Code></Error>"),
        FAILED,
        "the credentials have to allow",
    ),
    (
        all,
        || Action::Answer(404, "<Error><Code>NoSuchBucket</Code></Error>"),
        FAILED,
        "create the bucket",
    ),
    (
        all,
        || Action::Late(Duration::from_millis(100), 503),
        FAILED,
        "503 Service Unavailable",
    ),
    (
        dump,
        || Action::Answer(400, "<Error><Code>ExpiredToken</Code></Error>"),
        FAILED,
        "give credentials that are still valid",
    ),
    (dump, || Action::Answer(500, ""), FAILED, "reading hello-"),
    (dump, || Action::Halve, FAILED, "reading hello-"),
    (dump, || Action::Flip, MISMATCH, "SHA-256"),
    (dump, || Action::Answer(404, ""), MISMATCH, ".dump is gone"),
];

#[test]
fn what_a_bucket_refuses_or_changes_is_named() {
    let database = filled_database();
    let store = Store::new(&database);
    store.bench.succeed(&[]);
    let restore = Restore {
        backup: store.bench,
        database,
        own: None,
    };
    restore.owner_sql("DELETE FROM users WHERE username = 'user-9'");
    for (applies, action, expected, text) in FAULTS {
        store.proxy.set(move |seen| match applies(seen) {
            true => action(),
            false => Action::Pass,
        });
        let failed = restore.fail("stage", "bucket", &[], expected);
        assert!(failed.message().contains(text), "{text}: {failed:?}");
        assert_eq!(restore.schemas(), "", "{text}");
    }
    store.proxy.set(|_| Action::Pass);
    let staged = restore.succeed("stage", "bucket", &[]);
    assert_eq!(staged.loss(), [0, 0, 1]);
}

#[test]
fn programs_that_cannot_prove_the_backup_are_named() {
    let database = filled_database();
    postgres::shared().sql(&database, "CREATE EXTENSION citext");
    let restore = Restore::of(database);
    let (_copy, lacking) = programs_without("citext");
    for (programs, expected, text) in [
        (
            tls_server::bin(),
            "Refused",
            "made by pg_dump of PostgreSQL 18",
        ),
        (lacking, "RestoreFailed", "extensions citext"),
    ] {
        let programs = ["--pg-bin", programs.to_str().unwrap()];
        let failed = restore.fail("stage", "programs", &programs, (expected, 65));
        assert!(failed.message().contains(text), "{failed:?}");
        assert_eq!(restore.schemas(), "");
    }
    restore.succeed("stage", "programs", &[]);
}

#[test]
fn an_older_server_is_restored_with_newer_programs() {
    let server = Server::start_from(&tls_server::bin(), "restore-older", &["jit=off"]);
    server.sql("postgres", &format!("CREATE DATABASE hello OWNER {OWNER}"));
    let url = server.url(OWNER, "hello");
    succeed(short_command(&["migrate"]).env("DATABASE_URL", &url));
    server.sql("hello", "INSERT INTO users VALUES ('kept', '2000-02-29')");
    let restore = Restore {
        backup: Bench::at(&url),
        database: "hello".into(),
        own: Some(server),
    };
    restore.backup.succeed(&[]);
    restore.owner_sql("DELETE FROM users");
    assert_eq!(restore.succeed("stage", "older", &[]).loss(), [0, 0, 1]);
    restore.succeed("swap", "older", &[]);
    restore.succeed("undo", "older", &[]);
}
