//! What a backup leaves in a bucket when it is ended.

use std::process::{Child, Command};
use std::time::Duration;

use super::{Store, large_database};
use crate::backup::bench::{filled_database, folder, stderr};
use crate::support::LONG;
use crate::support::s3::{Action, Seen};

#[test]
fn what_a_killed_backup_leaves_in_a_bucket_goes_after_a_day() {
    let store = Store::new(&large_database());
    let good = store.bench.succeed(&["--keep-last=1"])["set"].clone();
    // Killed within an upload, and before its manifest.
    let stages: [fn(&Seen) -> bool; 2] = [
        |seen| seen.line.contains("partNumber=3"),
        |seen| seen.line.starts_with("PUT") && seen.line.ends_with("Z.json"),
    ];
    for stage in stages {
        let (reached, has_reached) = std::sync::mpsc::channel();
        store.proxy.set(move |seen| {
            if stage(seen) {
                let _ = reached.send(());
                return Action::Late(Duration::from_secs(30), 503);
            }
            Action::Pass
        });
        let mut child = store.bench.run_command(&["--keep-last=1"]).spawn().unwrap();
        has_reached.recv_timeout(Duration::from_secs(120)).unwrap();
        kill_group(&child);
        child.wait().unwrap();
        store.proxy.set(|_| Action::Pass);
    }
    let is_left = || {
        store
            .server
            .keys()
            .iter()
            .any(|key| key.contains(".partial"))
    };
    assert!(is_left() && !store.server.parts().is_empty());
    let list = store.bench.list();
    let verified: Vec<_> = list
        .iter()
        .filter(|set| set["state"] == "verified")
        .collect();
    assert_eq!((verified.len(), &verified[0]["name"]), (1, &good));
    // Others may be at work on it, for all that is known.
    assert_eq!(store.bench.succeed(&["--keep-last=1"])["count"], 1);
    assert!(is_left() && !store.server.parts().is_empty());
    store.server.age();
    assert_eq!(store.bench.succeed(&["--keep-last=1"])["count"], 1);
    store.assert_tidy();
    assert_eq!(store.server.keys().len(), 2, "{:?}", store.server.keys());
}

#[test]
fn whoever_is_killed_while_it_publishes_and_prunes_leaves_a_backup_that_counts() {
    let store = Store::new(&filled_database());
    let backup = || store.bench.succeed(&["--keep-last=1"]);
    backup();
    store.proxy.lines();
    backup();
    let lines = store.proxy.lines();
    let first = lines.iter().position(|line| publishes(line)).unwrap();
    // Of the requests from there on: all that write, and one that reads.
    let count = lines[first..].len();
    let writes = |number: &usize| !lines[first + number].starts_with("GET");
    for number in (0..count).filter(writes).chain([1]) {
        // The bucket does what it is asked for by turns, and nobody hears of it.
        kill_at(&store, number, number % 2 == 0);
        assert!(store.bench.states()[0] >= 1, "{}", lines[first + number]);
        let mut fetch = store.bench.command(&["fetch", "latest", "--to"]);
        let target = folder();
        let copied = fetch.arg(target.path()).output().unwrap();
        assert!(copied.status.success(), "{}", stderr(&copied));
    }
    store.server.age();
    assert_eq!(backup()["count"], 1);
    store.assert_tidy();
    assert_eq!(store.server.keys().len(), 2, "{:?}", store.server.keys());
}

/// Whether a request makes a set of what is there.
fn publishes(line: &str) -> bool {
    line.starts_with("PUT") && line.ends_with("Z.json")
}

/// Backs up, and kills that when it has sent so many requests since it has published; that request is `done` or not.
fn kill_at(store: &Store, number: usize, done: bool) {
    let (reached, has_reached) = std::sync::mpsc::channel();
    let (kill, killed) = std::sync::mpsc::channel();
    let mut since = None;
    store.proxy.set(move |seen| {
        since = match since {
            None => publishes(&seen.line).then_some(0),
            Some(count) => Some(count + 1),
        };
        if since != Some(number) {
            return Action::Pass;
        }
        reached.send(()).unwrap();
        killed.recv().unwrap();
        if done { Action::Lose } else { Action::Cut }
    });
    let mut child = store.bench.run_command(&["--keep-last=1"]).spawn().unwrap();
    has_reached.recv_timeout(LONG).unwrap();
    kill_group(&child);
    kill.send(()).unwrap();
    child.wait().unwrap();
    store.proxy.set(|_| Action::Pass);
}

/// `timeout` is its own group's leader, the program is in there with it.
fn kill_group(child: &Child) {
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    assert!(killed.unwrap().success());
}

#[test]
fn a_signal_leaves_nothing_in_a_bucket() {
    let store = Store::new(&filled_database());
    let (reached, has_reached) = std::sync::mpsc::channel();
    store.proxy.set(move |seen| {
        let is_dump = seen.line.starts_with("GET") && seen.line.ends_with(".dump");
        if is_dump && reached.send(()).is_ok() {
            return Action::Late(Duration::from_secs(30), 503);
        }
        Action::Pass
    });
    let child = store
        .bench
        .run_command(&[])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    has_reached.recv_timeout(Duration::from_secs(120)).unwrap();
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(
        stderr(&output).contains("interrupted by a signal"),
        "{}",
        stderr(&output)
    );
    assert_eq!(store.server.keys(), [""; 0]);
    store.assert_tidy();
}
