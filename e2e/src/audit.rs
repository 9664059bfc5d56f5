//! Writes to the API, read from the API server's audit log.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The audit log on kind's control-plane node.
pub const LOG: &str = "/var/log/kubernetes/audit/audit.log";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    stage: String,
    user: User,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

/// The writes of one user: how many to each object, leases apart.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Writes {
    /// `verb resource/subresource namespace/name` and how often.
    pub objects: BTreeMap<String, usize>,
    /// Renewals of leader election, which are not writes about any resource.
    pub leases: usize,
}

impl Writes {
    /// All writes but the renewals of leader election.
    pub fn total(&self) -> usize {
        self.objects.values().sum()
    }
}

/// Counts the writes of `user` in a piece of the audit log, one JSON event a line.
///
/// # Errors
/// When a line is not an audit event.
pub fn writes(log: &str, user: &str) -> Result<Writes> {
    let mut writes = Writes::default();
    for line in log.lines().filter(|line| !line.is_empty()) {
        let event: Event =
            serde_json::from_str(line).with_context(|| format!("not an audit event: {line}"))?;
        let is_write = matches!(
            event.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        );
        if !is_write || event.user.username != user || event.stage != "ResponseComplete" {
            continue;
        }
        let object = event.object_ref.unwrap_or_default();
        if object.resource == "leases" {
            writes.leases += 1;
            continue;
        }
        let ObjectRef {
            resource,
            subresource,
            namespace,
            name,
        } = object;
        let key = format!("{} {resource}/{subresource} {namespace}/{name}", event.verb);
        *writes.objects.entry(key).or_default() += 1;
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verb: &str, stage: &str, user: &str, resource: &str) -> String {
        serde_json::json!({
            "verb": verb, "stage": stage, "user": {"username": user},
            "objectRef": {"resource": resource, "namespace": "a", "name": "b"},
        })
        .to_string()
    }

    #[test]
    fn only_finished_writes_of_the_user_count() {
        let log = [
            line("patch", "ResponseComplete", "operator", "deployments"),
            line("patch", "RequestReceived", "operator", "deployments"),
            line("get", "ResponseComplete", "operator", "deployments"),
            line("watch", "ResponseComplete", "operator", "deployments"),
            line("patch", "ResponseComplete", "kubelet", "nodes"),
            line("update", "ResponseComplete", "operator", "leases"),
        ]
        .join("\n");
        let found = writes(&log, "operator").unwrap();
        assert_eq!(found.total(), 1);
        assert_eq!(found.leases, 1);
        assert_eq!(found.objects.get("patch deployments/ a/b"), Some(&1));
    }

    #[test]
    fn an_event_without_an_object_is_a_write_too() {
        let log = r#"{"verb":"create","stage":"ResponseComplete","user":{"username":"operator"}}"#;
        assert_eq!(writes(log, "operator").unwrap().total(), 1);
    }

    #[test]
    fn half_a_line_is_an_error() {
        assert!(writes(r#"{"verb":"pat"#, "operator").is_err());
    }
}
