//! Requests to the API, read from the API server's audit log.

use std::collections::{BTreeMap, BTreeSet};

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
    #[serde(default)]
    response_status: Status,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
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
    for event in events(log, user) {
        let event = event?;
        let is_write = matches!(
            event.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        );
        if !is_write {
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
            ..
        } = object;
        let key = format!("{} {resource}/{subresource} {namespace}/{name}", event.verb);
        *writes.objects.entry(key).or_default() += 1;
    }
    Ok(writes)
}

/// API group, resource with its subresource, and verb, as a rule of a role names them.
pub type Right = (String, String, String);

/// The rights that requests needed.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Rights {
    /// Those that were used.
    pub used: BTreeSet<Right>,
    /// Those that were missing.
    pub refused: BTreeSet<Right>,
}

/// Collects the rights that the requests of `user` needed, from a piece of the audit log.
///
/// # Errors
/// When a line is not an audit event.
pub fn rights(log: &str, user: &str) -> Result<Rights> {
    let mut rights = Rights::default();
    for event in events(log, user) {
        let event = event?;
        // Requests without an object are discovery, which every user may make.
        let Some(object) = event.object_ref else {
            continue;
        };
        let resource = match object.subresource.as_str() {
            "" => object.resource,
            subresource => format!("{}/{subresource}", object.resource),
        };
        let decision = event.annotations.get("authorization.k8s.io/decision");
        let set = if decision.is_some_and(|decision| decision == "forbid") {
            &mut rights.refused
        } else {
            &mut rights.used
        };
        // Server-side apply of an object that does not exist needs the right to create it.
        if event.verb == "patch" && event.response_status.code == 201 {
            set.insert((object.api_group.clone(), resource.clone(), "create".into()));
        }
        set.insert((object.api_group, resource, event.verb));
    }
    Ok(rights)
}

/// The requests of `user` that are over.
fn events(log: &str, user: &str) -> impl Iterator<Item = Result<Event>> {
    log.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("not an audit event: {line}"))
        })
        .filter(move |event: &Result<Event>| {
            event.as_ref().map_or(true, |event| {
                event.user.username == user && event.stage == "ResponseComplete"
            })
        })
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

    #[test]
    fn rights_are_what_rules_name() {
        let event = |verb: &str, resource: [&str; 3], code: u16, decision: &str| {
            serde_json::json!({
                "verb": verb, "stage": "ResponseComplete", "user": {"username": "operator"},
                "objectRef": {"apiGroup": resource[0], "resource": resource[1], "subresource": resource[2]},
                "responseStatus": {"code": code},
                "annotations": {"authorization.k8s.io/decision": decision},
            })
            .to_string()
        };
        let log = [
            event("patch", ["apps", "deployments", ""], 201, "allow"),
            event("patch", ["apps", "deployments", "status"], 200, "allow"),
            event("get", ["", "secrets", ""], 404, "allow"),
            event("delete", ["", "secrets", ""], 403, "forbid"),
        ]
        .join("\n");
        let right = |group: &str, resource: &str, verb: &str| {
            (group.to_owned(), resource.to_owned(), verb.to_owned())
        };
        let found = rights(&log, "operator").unwrap();
        let used = [
            right("", "secrets", "get"),
            right("apps", "deployments", "create"),
            right("apps", "deployments", "patch"),
            right("apps", "deployments/status", "patch"),
        ];
        assert_eq!(found.used, used.into());
        assert_eq!(found.refused, [right("", "secrets", "delete")].into());
    }
}
