//! Backups that are made at once: a bucket has no lock.

use std::process::{Child, Output, Stdio};

use serde_json::Value;

use super::{Store, with_bucket};
use crate::backup::bench::{Bench, before, filled_database, stderr};
use crate::support::s3::{KEY, KEY_ID};
use crate::support::{LONG, eventually};

/// Two programs with one bucket, each as in a pod of its own.
struct Two {
    store: Store,
    other: Bench,
}

impl Two {
    fn new() -> Self {
        let database = filled_database();
        let store = Store::new(&database);
        let other = Bench::new(&database)
            .variable("AWS_ACCESS_KEY_ID", KEY_ID)
            .variable("AWS_SECRET_ACCESS_KEY", KEY);
        let other = with_bucket(other, &format!("http://{}", store.proxy.address));
        store.bench.succeed(&[]);
        Self { store, other }
    }

    /// A backup that has begun, and whose dump waits for [`Self::end`].
    fn begin(&mut self) -> Child {
        let wait =
            "cd $HELLO_BACKUP_DIRECTORY; touch begun; while [ ! -e go ]; do sleep 0.05; done";
        self.store.bench.replace("pg_dump", &before(wait));
        let mut command = self.store.bench.run_command(&["--keep-last=1"]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        eventually("it has begun", LONG, || {
            self.store.bench.path("begun").exists()
        });
        child
    }

    /// Its result.
    fn end(&self, child: Child) -> Value {
        std::fs::write(self.store.bench.path("go"), "").unwrap();
        result(&child.wait_with_output().unwrap())
    }

    /// A backup beside it. Within the same second, it is told that the other has begun.
    fn beside(&self) -> Value {
        let mut made = None;
        eventually("the other is made", LONG, || {
            let output = self.other.run(&["--keep-last=1"]);
            let is_taken = stderr(&output).contains("another backup has begun");
            assert!(output.status.success() || is_taken, "{}", stderr(&output));
            made = output.status.success().then(|| result(&output));
            made.is_some()
        });
        made.unwrap()
    }

    /// A set that was reported is there, and good.
    fn verify(&self, result: &Value) {
        let set = result["set"].as_str().unwrap();
        let verified = self.other.command(&["verify", set]).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

fn result(output: &Output) -> Value {
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_backups_at_once_are_both_whole() {
    let mut two = Two::new();
    let first = two.begin();
    let second = two.beside();
    let first = two.end(first);
    two.verify(&first);
    two.verify(&second);
    // Neither has deleted the other, and the next one deletes both.
    assert_eq!(two.other.states(), [2, 0, 0]);
    assert_eq!(two.other.succeed(&["--keep-last=1"])["count"], 1);
    let keys = two.store.server.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

#[test]
fn the_oldest_of_three_backups_at_once_does_not_delete_itself() {
    let mut two = Two::new();
    let oldest = two.begin();
    two.beside();
    let newest = two.beside();
    let oldest = two.end(oldest);
    assert!(oldest["sequence"].as_u64() < newest["sequence"].as_u64());
    two.verify(&oldest);
    two.verify(&newest);
    assert_eq!(oldest["count"], 2);
    assert_eq!(two.other.states(), [2, 0, 0]);
    // What is dumped last is the newest, whoever is slower.
    assert_eq!(two.other.list()[1]["name"], newest["set"]);
    assert_eq!(two.other.succeed(&["--keep-last=1"])["count"], 1);
}
