use serde_json::{Value, json};

use super::*;

const EARLIER: &str = "2026-01-01T01:00:00Z";
const TIME: &str = "2026-01-01T02:00:00Z";
const LATER: &str = "2026-01-01T03:00:00Z";

/// A run that ended at [`TIME`].
fn run(succeeded: bool) -> Job {
    let status = match succeeded {
        true => json!({"succeeded": 1, "completionTime": TIME}),
        false => {
            json!({"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": TIME}]})
        }
    };
    let metadata = json!({"name": "run", "uid": "run", "creationTimestamp": TIME});
    serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
}

/// Its pod, whose container left this.
fn pod(message: &str) -> Pod {
    let end = json!({"terminated": {"exitCode": 1, "message": message}});
    let container = json!({"name": backup_result::CONTAINER, "image": "a", "imageID": "", "ready": false,
        "restartCount": 0, "state": end});
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": "run", "controller": true});
    serde_json::from_value(
        json!({"metadata": {"name": "p", "ownerReferences": [owner]},
        "spec": {"containers": [], "restartPolicy": "Never"},
        "status": {"phase": "Failed", "containerStatuses": [container]}}),
    )
    .unwrap()
}

fn proof() -> String {
    json!({"reason": "Verified", "time": TIME, "set": "hello-20260101T020000Z", "sequence": 1, "sizeBytes": 1,
        "rows": 1, "schemaVersion": 1, "restoreSeconds": 1.0, "count": 7, "warnings": []})
    .to_string()
}

fn remembered(backup: Value) -> HelloServiceStatus {
    serde_json::from_value(json!({"backup": backup})).unwrap()
}

#[test]
fn of_the_run_that_exists_and_the_one_that_is_remembered_the_later_one_counts() {
    let message = json!({"reason": "DumpFailed", "time": TIME, "message": "reported"}).to_string();
    let attempt = |time: &str, pods: &[Pod]| {
        let old = json!({"time": time, "reason": "Mismatch", "message": "remembered"});
        let old = remembered(json!({"lastAttempt": old}));
        let found = History::read(None, &[&run(false)], pods, Some(&old), None);
        found.attempt.unwrap().reason
    };
    let reported = [pod(&message)];
    assert_eq!(attempt(LATER, &reported), Reason::Mismatch);
    assert_eq!(attempt(TIME, &reported), Reason::DumpFailed);
    // Nothing reports any more how the same run ended.
    assert_eq!(attempt(TIME, &[]), Reason::Mismatch);
    assert_eq!(attempt(EARLIER, &[]), Reason::BackupFailed);
}

#[test]
fn words_of_a_run_that_succeeded_are_no_failure() {
    let read = |succeeded: bool| {
        let pods = [pod("words")];
        let history = History::read(None, &[&run(succeeded)], &pods, None, None);
        history.attempt.unwrap()
    };
    assert!(read(false).message.contains("words"));
    assert!(!read(true).message.contains("words"));
}

#[test]
fn a_proof_is_news_unless_a_later_one_is_remembered() {
    let count = |time: &str| {
        let verified = json!({"file": "hello-20260101T010000Z", "time": time, "sizeBytes": 1, "seconds": 1.0, "rows": 1,
            "schemaVersion": 1});
        let old = remembered(json!({"lastVerified": verified, "count": 3}));
        History::read(None, &[&run(true)], &[pod(&proof())], Some(&old), None).count
    };
    assert_eq!(count(EARLIER), Some(7));
    assert_eq!(count(TIME), Some(7));
    assert_eq!(count(LATER), Some(3));
}
