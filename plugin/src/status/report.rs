//! What is reported of a service. Pure: objects in, a tree and the problems out.

use hello_crds::{
    ConditionType, HelloRestore, HelloService, HelloServiceStatus, UpgradeStatus, names::Component,
    next_command,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use serde::Serialize;

use super::{
    node::{Mark, Node, Problem},
    pods, restores,
};
use crate::{
    cluster::Place,
    words::{bytes, count, destination, moment},
};

/// What was read. A text in place of an object says why it could not be.
pub struct Observed {
    pub service: HelloService,
    pub pods: Result<Vec<Pod>, String>,
    pub autoscaler: Result<Option<HorizontalPodAutoscaler>, String>,
    pub restores: Result<Vec<HelloRestore>, String>,
}

/// The report on one service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub name: String,
    pub namespace: String,
    /// Whether it is ready, for its newest spec, and needs no action.
    pub well: bool,
    /// In one word.
    pub state: String,
    pub mark: Mark,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub parts: Vec<Node>,
    pub problems: Vec<Problem>,
}

impl Report {
    /// The report on what was read.
    pub fn new(observed: &Observed, namespace: &str, place: &Place, now: Timestamp) -> Self {
        let service = &observed.service;
        let status = service.status.clone().unwrap_or_default();
        let view = View {
            observed,
            status: &status,
            place,
            now,
        };
        let fresh = status.observed_generation == service.metadata.generation;
        let holds = |type_| view.condition(type_).is_some_and(|c| c.status == "True");
        let (ready, degraded) = (holds(ConditionType::Ready), holds(ConditionType::Degraded));
        let well = fresh && ready && !degraded;
        let (state, mark) = match (fresh, degraded, ready) {
            (false, ..) => ("NotObserved", Mark::Unknown),
            (true, true, true) => ("Ready, Degraded", Mark::Bad),
            (true, true, false) => ("Degraded", Mark::Bad),
            (true, false, true) => ("Ready", Mark::Good),
            (true, false, false) => ("Progressing", Mark::Busy),
        };
        let paused = holds(ConditionType::Paused) && fresh && !degraded;
        let parts = [
            Some(view.database()),
            Some(view.migration()),
            Some(view.app()),
            view.autoscaler(),
            view.backups(namespace),
            view.restores(),
        ];
        Self {
            name: service.metadata.name.clone().unwrap_or_default(),
            namespace: namespace.to_owned(),
            well,
            state: if paused { "Paused" } else { state }.to_owned(),
            mark,
            version: status.version.clone(),
            endpoint: status.endpoint.clone(),
            parts: parts.into_iter().flatten().collect(),
            problems: view.problems(fresh),
        }
    }
}

/// What was read, with what the lines have in common.
struct View<'a> {
    observed: &'a Observed,
    status: &'a HelloServiceStatus,
    place: &'a Place,
    now: Timestamp,
}

/// The change to another version of the data.
fn upgrade(upgrade: &UpgradeStatus) -> Node {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unnamed".into());
    let (from, to) = (version(&upgrade.from), version(&upgrade.to));
    let text = format!("{from} to {to}: {:?}", upgrade.phase);
    Node::new("upgrade", Mark::Busy, text)
}

impl View<'_> {
    fn name(&self) -> &str {
        self.observed
            .service
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
    }

    fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|condition| condition.type_ == type_.as_str())
    }

    /// The mark and the words of a condition.
    fn state(&self, type_: ConditionType) -> (Mark, String) {
        let Some(condition) = self.condition(type_) else {
            return (Mark::Unknown, "not reported yet".into());
        };
        let text = format!("{}: {}", condition.reason, condition.message);
        let mark = match &*condition.status {
            "True" => Mark::Good,
            "False" if condition.reason == "Paused" => Mark::Busy,
            "False" if next_command(&condition.reason).is_some() => Mark::Bad,
            "False" => Mark::Busy,
            _ => Mark::Unknown,
        };
        (mark, text)
    }

    /// The pods of a part. Why they are not shown is said once, at the application.
    fn pods(&self, part: Component) -> Vec<Node> {
        match &self.observed.pods {
            Ok(pods) => pods::nodes(pods, part, self.now),
            Err(reason) if part == Component::App => vec![Node::new("pods", Mark::Unknown, reason)],
            Err(_) => vec![],
        }
    }

    fn database(&self) -> Node {
        let (mark, text) = self.state(ConditionType::DatabaseReady);
        let Some(database) = &self.status.database else {
            return Node::new("database", mark, text).with(self.pods(Component::Database));
        };
        let claim = database.volume_claim.as_ref();
        let claim = claim.map(|claim| Node::new("claim", Mark::Good, claim));
        let servers = database.ready_instances.map(|ready| {
            let primary = database.primary.as_ref();
            let primary = primary
                .map(|pod| format!(", primary {pod}"))
                .unwrap_or_default();
            Node::new("servers", mark, format!("{ready} ready{primary}"))
        });
        let upgrade = database.upgrade.as_ref().map(upgrade);
        let parts = [claim, upgrade, servers];
        let mut children: Vec<Node> = parts.into_iter().flatten().collect();
        // Nobody but its owner sees the pods of an external one.
        if database.kind != "external" {
            children.extend(self.pods(Component::Database));
        }
        Node::new("database", mark, format!("{}, {text}", database.kind)).with(children)
    }

    fn migration(&self) -> Node {
        let (mark, text) = self.state(ConditionType::Migrated);
        Node::new("migration", mark, text).with(self.pods(Component::Migration))
    }

    fn app(&self) -> Node {
        let (ready, all) = (self.status.ready_replicas, self.status.replicas);
        let (ready, all) = (ready.unwrap_or(0), all.unwrap_or(0));
        let serves = self
            .condition(ConditionType::Ready)
            .is_some_and(|c| c.status == "True");
        let mark = match (serves, ready >= all && all > 0) {
            (true, _) | (false, true) => Mark::Good,
            (false, false) => Mark::Busy,
        };
        let version = self.status.version.as_ref();
        let version = version
            .map(|version| format!(", version {version}"))
            .unwrap_or_default();
        let text = format!("{ready} of {} ready{version}", count(all.into(), "pod"));
        Node::new("app", mark, text).with(self.pods(Component::App))
    }

    fn autoscaler(&self) -> Option<Node> {
        let wanted = self.observed.service.spec.autoscaling.is_some();
        let found = match &self.observed.autoscaler {
            Err(reason) if wanted => return Some(Node::new("autoscaler", Mark::Unknown, reason)),
            Err(_) => return None,
            Ok(found) => found.as_ref(),
        };
        let Some(found) = found else {
            return wanted.then(|| Node::new("autoscaler", Mark::Busy, "it does not exist yet"));
        };
        let spec = &found.spec;
        let status = found.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let failing = conditions
            .iter()
            .find(|c| ["AbleToScale", "ScalingActive"].contains(&&*c.type_) && c.status == "False");
        let range = format!(
            "{} to {} pods",
            spec.min_replicas.unwrap_or(1),
            spec.max_replicas
        );
        Some(match failing {
            // The operator waits some minutes before it reports that: pods that start have no metrics.
            Some(condition) => {
                let reason = condition.message.as_deref().unwrap_or_default();
                Node::new("autoscaler", Mark::Busy, format!("{range}: {reason}"))
            }
            None => {
                let text = format!("{range}, wants {}", status.desired_replicas);
                Node::new("autoscaler", Mark::Good, text)
            }
        })
    }

    fn backups(&self, namespace: &str) -> Option<Node> {
        let service = &self.observed.service;
        let place = destination(service, namespace)?;
        let (mark, text) = self.state(ConditionType::BackupVerified);
        let mut children = backup_nodes(self.status, self.now);
        children.push(Node::new("where", Mark::Good, place));
        children.extend(self.pods(Component::Backup));
        Some(Node::new("backups", mark, text).with(children))
    }

    fn restores(&self) -> Option<Node> {
        let found = match &self.observed.restores {
            Err(reason) => return Some(Node::new("restores", Mark::Unknown, reason)),
            Ok(found) => found,
        };
        let nodes: Vec<Node> = found.iter().map(restores::node).collect();
        let worst = [Mark::Bad, Mark::Busy, Mark::Unknown]
            .into_iter()
            .find(|mark| nodes.iter().any(|node| node.mark == *mark));
        let total = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
        let mut children = nodes;
        children.extend(self.pods(Component::Restore));
        (total > 0).then(|| {
            let text = count(total, "HelloRestore");
            Node::new("restores", worst.unwrap_or(Mark::Good), text).with(children)
        })
    }

    /// Everything that is not as wanted, each once, with the most pressing first.
    fn problems(&self, fresh: bool) -> Vec<Problem> {
        if !fresh {
            let next = "kubectl get deployments --all-namespaces --selector=app.kubernetes.io/name=hello-operator";
            return vec![Problem {
                reason: "NotObserved".into(),
                message:
                    "the operator has not read the newest spec yet; if that lasts, it does not run"
                        .into(),
                next: Some(self.place.command(next)),
            }];
        }
        let mut problems: Vec<Problem> = Vec::new();
        // Where `Degraded` and another one report the same, the message is the same.
        let told = |type_, status| self.condition(type_).filter(|c| c.status == status);
        let conditions = [
            told(ConditionType::Degraded, "True"),
            told(ConditionType::Ready, "False"),
            told(ConditionType::DatabaseReady, "False"),
            told(ConditionType::Migrated, "False"),
            told(ConditionType::BackupVerified, "False"),
        ];
        for condition in conditions.into_iter().flatten() {
            let next = self.place.next(&condition.reason, self.name());
            // What is only on its way is said once, as the reason why the service is not ready.
            if next.is_none() && condition.type_ != ConditionType::Ready.as_str() {
                continue;
            }
            let known = problems
                .iter()
                .any(|problem| problem.reason == condition.reason);
            if !known {
                problems.push(Problem {
                    reason: condition.reason.clone(),
                    message: condition.message.clone(),
                    next,
                });
            }
        }
        let found = self.observed.restores.as_deref().unwrap_or_default();
        problems.extend(
            found
                .iter()
                .filter_map(|restore| restores::problem(restore, self.place)),
        );
        problems
    }
}

/// What is known of the backups of a service.
pub fn backup_nodes(status: &HelloServiceStatus, now: Timestamp) -> Vec<Node> {
    let backup = status.backup.clone().unwrap_or_default();
    let proved = match &backup.last_verified {
        Some(set) => {
            let text = format!(
                "{}, {}: {}, {}, restored in {:.1} s",
                set.file,
                moment(&set.time, now),
                count(set.rows, "row"),
                bytes(set.size_bytes),
                set.seconds
            );
            Node::new("last proved", Mark::Good, text)
        }
        None => Node::new("last proved", Mark::Busy, "none yet"),
    };
    let attempt = backup.last_attempt.map(|attempt| {
        let mark = if attempt.reason == "Verified" {
            Mark::Good
        } else {
            Mark::Bad
        };
        let text = format!("{}, {}", attempt.reason, moment(&attempt.time, now));
        Node::new("last attempt", mark, text)
    });
    let kept = backup
        .count
        .map(|number| Node::new("kept", Mark::Good, count(number, "proved backup")));
    let next = backup
        .next_schedule_time
        .map(|time| Node::new("next", Mark::Good, moment(&time, now)));
    [Some(proved), attempt, kept, next]
        .into_iter()
        .flatten()
        .collect()
}
