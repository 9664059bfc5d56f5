//! What a bucket refuses, loses or answers late.

use std::time::Duration;

use super::{Store, put};
use crate::backup::bench::{filled_database, folder, stderr};
use crate::support::s3::{Action, BUCKET, Seen};
use crate::support::{LONG, eventually};

/// Which requests fail, how, the reason, and what the message says.
type Fault = (
    fn(&Seen) -> bool,
    fn() -> Action,
    &'static str,
    &'static str,
);

fn all(_: &Seen) -> bool {
    true
}

fn put_dump(seen: &Seen) -> bool {
    put(seen) && seen.line.ends_with(".dump")
}

fn put_manifest(seen: &Seen) -> bool {
    put(seen) && seen.line.ends_with("Z.json")
}

fn get_dump(seen: &Seen) -> bool {
    seen.line.starts_with("GET") && seen.line.ends_with(".dump")
}

/// Each fault fails a backup with its reason, harms no other, leaves nothing, and the next one succeeds.
fn each_is_named_and_harms_nothing(faults: &[Fault]) {
    let store = Store::new(&filled_database());
    let good = store.bench.succeed(&["--keep-last=1"])["set"].clone();
    for (applies, action, reason, text) in faults {
        let (applies, action) = (*applies, *action);
        store.proxy.set(move |seen| match applies(seen) {
            true => action(),
            false => Action::Pass,
        });
        let message = store.bench.fail(reason, &["--keep-last=1"]);
        assert!(message.contains(text), "{text}: {message}");
        let named = format!("s3://{BUCKET}/all/ at http://{}", store.proxy.address);
        assert!(
            message.contains(&named) || *reason == "Mismatch",
            "{message}"
        );
        store.proxy.set(|_| Action::Pass);
        let list = store.bench.list();
        assert_eq!((list.len(), &list[0]["name"]), (1, &good), "{text}");
        assert_eq!(list[0]["state"], "verified");
        store.assert_tidy();
    }
    assert_eq!(store.bench.succeed(&["--keep-last=1"])["count"], 1);
    store.assert_tidy();
}

#[test]
fn a_bucket_that_cannot_be_reached_is_named() {
    each_is_named_and_harms_nothing(&[
        (
            all,
            || Action::Answer(500, ""),
            "DestinationUnreachable",
            "500 Internal Server Error",
        ),
        (
            put_dump,
            || Action::Late(Duration::from_millis(300), 503),
            "DestinationUnreachable",
            "503 Service Unavailable",
        ),
        (
            all,
            || Action::Answer(200, "<html></html>"),
            "DestinationUnreachable",
            "is this its address?",
        ),
        (all, || Action::Cut, "DestinationUnreachable", "listing it"),
        (
            all,
            || Action::Answer(404, "<Error><Code>NoSuchBucket</Code></Error>"),
            "DestinationUnreachable",
            "404 Not Found NoSuchBucket; create the bucket",
        ),
    ]);
}

#[test]
fn what_a_bucket_refuses_or_loses_is_named() {
    each_is_named_and_harms_nothing(&[
        (
            all,
            || {
                Action::Answer(
                    403,
                    "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
                )
            },
            "DestinationDenied",
            "403 Forbidden AccessDenied: No.; the credentials have to allow",
        ),
        (
            put,
            || Action::Answer(403, ""),
            "DestinationDenied",
            "writing to it: 403 Forbidden; the credentials",
        ),
        (
            put_dump,
            || Action::Answer(400, "<Error><Code>ExpiredToken</Code></Error>"),
            "DestinationDenied",
            "ExpiredToken; give credentials that are still valid",
        ),
        (
            put_dump,
            || Action::Answer(507, ""),
            "DestinationFull",
            "507 Insufficient Storage; keep fewer backups",
        ),
        (
            put_manifest,
            || Action::Answer(400, "<Error><Code>QuotaExceeded</Code></Error>"),
            "DestinationFull",
            "writing hello-",
        ),
        (
            all,
            || Action::Answer(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
            "ClockSkew",
            "RequestTimeTooSkewed",
        ),
        (
            get_dump,
            || Action::Flip,
            "Mismatch",
            "is not read as it was written",
        ),
        (
            get_dump,
            || Action::Answer(404, ""),
            "Mismatch",
            ".dump is gone",
        ),
    ]);
}

#[test]
fn answers_that_are_lost_or_late_are_asked_for_again() {
    let store = Store::new(&filled_database());
    // Each request once fails in each of these ways: it may have been done, or not.
    let mut seen_lines = std::collections::BTreeMap::new();
    store.proxy.set(move |seen| {
        let count: &mut usize = seen_lines.entry(seen.line.clone()).or_default();
        *count += 1;
        match (*count, seen.line.starts_with("GET")) {
            (1, _) => Action::Lose,
            (2, _) => Action::Answer(503, "<Error><Code>SlowDown</Code></Error>"),
            (3, true) => Action::Halve,
            _ => Action::Pass,
        }
    });
    let result = store.bench.succeed(&["--format=custom,plain"]);
    assert_eq!(result["warnings"].as_array().unwrap().len(), 0, "{result}");
    store.proxy.set(|_| Action::Pass);
    store.assert_tidy();
    assert_eq!(store.bench.states(), [1, 0, 0]);
    // A store that does not know the condition of new objects.
    store.proxy.set(
        |seen| match seen.head.to_lowercase().contains("if-none-match") {
            true => Action::Answer(501, "<Error><Code>NotImplemented</Code></Error>"),
            false => Action::Pass,
        },
    );
    assert_eq!(store.bench.succeed(&[])["count"], 2);
    store.assert_tidy();
}

#[test]
fn a_backup_that_may_not_be_deleted_is_a_warning() {
    let store = Store::new(&filled_database());
    let old = store.bench.succeed(&["--keep-last=1"])["set"].clone();
    store.proxy.set(|seen| {
        let is_manifest = seen.line.ends_with("Z.json");
        match seen.line.starts_with("DELETE") && is_manifest {
            true => Action::Answer(
                403,
                "<Error><Code>AccessDenied</Code><Message>Locked.</Message></Error>",
            ),
            false => Action::Pass,
        }
    });
    let result = store.bench.succeed(&["--keep-last=1"]);
    assert_eq!(result["count"], 2);
    let warning = result["warnings"][0].as_str().unwrap();
    let set = old.as_str().unwrap();
    assert!(
        warning.contains(set) && warning.contains("Locked."),
        "{warning}"
    );
    store.assert_tidy();
    store.proxy.set(|_| Action::Pass);
    assert_eq!(store.bench.succeed(&["--keep-last=1"])["count"], 1);
    assert_eq!(store.server.keys().len(), 2);
}

#[test]
fn a_full_working_folder_is_not_a_full_bucket() {
    let mut store = Store::new(&filled_database());
    let full = "[ \"$1\" = --version ] && exec $REAL --version\n\
        for argument; do shift; case $before in --file) argument=/dev/full;; esac; before=$argument; \
        set -- \"$@\" \"$argument\"; done; exec $REAL \"$@\"";
    store.bench.succeed(&["--keep-last=2"]);
    store.bench.succeed(&["--keep-last=2"]);
    store.bench.replace("pg_dump", full);
    let message = store.bench.fail("DumpFailed", &["--keep-last=2"]);
    assert!(
        message.contains("folder in which backups are made"),
        "{message}"
    );
    assert_eq!(store.bench.states(), [2, 0, 0]);
    store.assert_tidy();
    eventually("nothing is left of it", LONG, || {
        store.bench.names().is_empty()
    });
}

#[test]
fn a_backup_that_may_not_be_read_is_not_damaged() {
    let store = Store::new(&filled_database());
    let sets: Vec<String> = (0..2)
        .map(|_| store.bench.succeed(&[])["set"].as_str().unwrap().to_owned())
        .collect();
    let refuse = |set: &str, status: u16, body: &'static str| {
        let manifest = format!("/all/{set}.json");
        store.proxy.set(move |seen| {
            match seen.line.starts_with("GET") && seen.line.ends_with(&manifest) {
                true => Action::Answer(status, body),
                false => Action::Pass,
            }
        });
    };
    let fetch = |name: &str| {
        let target = folder();
        let mut command = store.bench.command(&["fetch", name, "--to"]);
        command.arg(target.path()).output().unwrap()
    };
    let denied = "<Error><Code>AccessDenied</Code><Message>Not this.</Message></Error>";
    refuse(&sets[1], 403, denied);
    let list = store.bench.list();
    let state = |set: &str| &list.iter().find(|entry| entry["name"] == set).unwrap()["state"];
    assert_eq!(
        (state(&sets[0]), state(&sets[1])),
        (&"verified".into(), &"unreadable".into())
    );
    // It may be the newest one, so there is none to be taken for it.
    for name in ["latest", &sets[1]] {
        let output = fetch(name);
        let expected = format!("{} may not be read: ", sets[1]);
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
        assert!(stderr(&output).contains("Not this."), "{}", stderr(&output));
    }
    assert!(fetch(&sets[0]).status.success());
    refuse(&sets[0], 403, denied);
    assert!(fetch("latest").status.success());
    let result = store.bench.succeed(&["--keep-last=1"]);
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(warning.contains("may not be read: "), "{warning}");
    // What another backup deletes while this one lists is no obstacle; its dump is still in the list.
    refuse(&sets[0], 404, "");
    assert_eq!(store.bench.states(), [1, 1, 0]);
    store.proxy.set(|_| Action::Pass);
    assert_eq!(store.bench.states(), [2, 0, 0]);
    assert_eq!(store.bench.succeed(&["--keep-last=1"])["count"], 1);
    store.assert_tidy();
}
