//! What the live objects mean for the decision: pure functions from objects to [`Facts`].

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::{Gate, Kind},
        names::{self, Component},
        owner::{Identity, controller},
        replicas, subset,
    },
    service::{
        children::{Prepared, SERVER},
        dereference::observed::Observed,
        plan::{Facts, JobPhase, Presence, Wanted, cnpg_health},
        validate::{Database, Scaling, Validated},
    },
};

/// The wanted children in the planner's terms.
#[must_use]
pub fn wanted(prepared: &Prepared) -> Vec<Wanted> {
    prepared
        .children
        .iter()
        .map(|child| Wanted {
            id: child.id.clone(),
            gate: child.gate,
        })
        .collect()
}

/// What is there, in the planner's terms.
#[must_use]
pub fn facts(service: &Validated, prepared: &Prepared, observed: &Observed) -> Facts {
    let mut facts = Facts {
        wanted_replicas: prepared.replicas,
        initial_replicas: initial_replicas(service, prepared, observed),
        missing: observed.missing.clone(),
        paused: service.paused,
        migrating: observed.pods.iter().any(migrates),
        ..Facts::default()
    };
    let server = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
    let server = observed.children.get(&server);
    for (id, live) in &observed.children {
        let desired = prepared.children.iter().find(|child| child.id == *id);
        let Some(presence) = presence(&service.identity, id, live, desired, server) else {
            continue;
        };
        if id.kind == Kind::Job && presence != Presence::Foreign {
            facts.jobs.insert(id.clone(), job_phase(&live.data));
        }
        if id.kind == Kind::Deployment && desired.is_some() {
            facts.live_replicas = live.data["spec"]["replicas"]
                .as_i64()
                .and_then(|n| n.try_into().ok());
            let autoscaled = prepared.replicas.is_none();
            facts.holds_replicas = replicas::holds(live, names::MANAGER)
                || (autoscaled && replicas::holds(live, names::SCALE_MANAGER));
        }
        if presence == Presence::Drifted && desired.is_some_and(|child| outdated(live, child)) {
            facts.outdated.insert(id.clone());
        }
        facts.present.insert(id.clone(), presence);
    }
    let settled_and = |kind: Kind, ready: &dyn Fn(&DynamicObject) -> bool| {
        let id = ChildId::new(kind, names::database(&service.identity.name));
        facts.present.get(&id) == Some(&Presence::Settled)
            && observed.children.get(&id).is_some_and(ready)
    };
    facts.database_ready = match service.database {
        Database::External { .. } => true,
        Database::Managed { .. } => settled_and(Kind::StatefulSet, &|live| {
            server_ready(live, &observed.pods)
        }),
        Database::CloudNativePg { .. } => settled_and(Kind::Cluster, &|live| {
            cnpg_health::Health::of(live).answers()
        }),
    };
    facts
}

/// Application pods to start with: a Deployment that somebody deleted comes back with the number that
/// the autoscaler chose last.
fn initial_replicas(service: &Validated, prepared: &Prepared, observed: &Observed) -> i32 {
    let name = names::app(&service.identity.name);
    let id = ChildId::new(Kind::HorizontalPodAutoscaler, name);
    let (Scaling::Auto { min, max, .. }, Some(live)) =
        (service.scaling, observed.children.get(&id))
    else {
        return prepared.initial_replicas;
    };
    let chosen = live.data["status"]["desiredReplicas"].as_i64();
    let chosen = chosen.and_then(|n| n.try_into().ok()).unwrap_or(min);
    chosen.max(min).min(max)
}

/// What a live object is to us; `None` when it is neither wanted nor ours to remove. `server` is the
/// StatefulSet under the name of ours.
fn presence(
    identity: &Identity,
    id: &ChildId,
    live: &DynamicObject,
    desired: Option<&Desired>,
    server: Option<&DynamicObject>,
) -> Option<Presence> {
    let owner = controller(live);
    let ours = match owner {
        Some(owner) if owner.uid == identity.uid => true,
        Some(owner) if owner.kind == "HelloService" && owner.name == identity.name => {
            // Also an unwanted Job: its pods may still be migrating.
            return (desired.is_some() || id.kind == Kind::Job).then_some(Presence::Predecessor);
        }
        // The claim that a StatefulSet of ours made, and owns under `Delete`.
        Some(owner)
            if owner.kind == "StatefulSet"
                && owner.name == names::database(&identity.name)
                && desired.is_some_and(|child| child.gate == Gate::IfPresent) =>
        {
            let living = server.is_some_and(|server| {
                server.metadata.uid.as_ref() == Some(&owner.uid)
                    && controller(server).is_some_and(|owner| owner.uid == identity.uid)
            });
            if !living {
                // The garbage collector takes it, also while another server uses it.
                return Some(Presence::Predecessor);
            }
            true
        }
        Some(_) => false,
        None => {
            let claim = desired.is_some_and(|child| child.gate == Gate::IfPresent);
            identity.has_retained(live) || (claim && identity.is_in_labels(live))
        }
    };
    if !ours {
        return desired.map(|_| Presence::Foreign);
    }
    if live.metadata.deletion_timestamp.is_some() {
        return Some(Presence::Deleting);
    }
    let Some(desired) = desired else {
        // Data is never removed because a field of the spec went away; it goes with the resource.
        return (!id.kind.row().holds_data).then_some(Presence::Settled);
    };
    Some(if settled(live, desired) {
        Presence::Settled
    } else {
        Presence::Drifted
    })
}

/// Whether something else was wanted when the object was written last. What somebody else makes carries no mark of
/// that, and what it lacks is rather our wish that changed than a label that was taken away.
fn outdated(live: &DynamicObject, desired: &Desired) -> bool {
    match live.annotations().get(names::HASH_ANNOTATION) {
        Some(written) => *written != desired.hash,
        None => desired.gate == Gate::IfPresent,
    }
}

/// Whether there is nothing to write. A Job cannot be changed, so it is always as it should be.
fn settled(live: &DynamicObject, desired: &Desired) -> bool {
    if desired.gate == Gate::Migration {
        return true;
    }
    let same = live.annotations().get(names::HASH_ANNOTATION) == Some(&desired.hash);
    (same || desired.gate == Gate::IfPresent)
        && serde_json::to_value(live).is_ok_and(|mut live| {
            // Items of a list carry no type.
            live["apiVersion"] = desired.body["apiVersion"].clone();
            live["kind"] = desired.body["kind"].clone();
            subset::contains(&live, &desired.body)
        })
}

/// Phase of a Job from its status.
#[must_use]
pub fn job_phase(job: &Value) -> JobPhase {
    let has = |wanted: &str| {
        job["status"]["conditions"]
            .as_array()
            .is_some_and(|conditions| {
                conditions
                    .iter()
                    .any(|c| c["type"] == wanted && c["status"] == "True")
            })
    };
    if has("Failed") {
        JobPhase::Failed
    } else if has("Complete") || job["status"]["succeeded"].as_i64().unwrap_or_default() > 0 {
        JobPhase::Succeeded
    } else {
        JobPhase::Active
    }
}

/// Whether this is the pod of a migration that may be changing the schema. Its Job may be gone: only
/// the operator waits for the pods when it deletes one.
fn migrates(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    Component::from_labels(pod.labels()) == Some(Component::Migration)
        && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the only pod of a StatefulSet runs the current template and its server is ready. A status
/// that trails behind the generation is not believed.
fn server_ready(live: &DynamicObject, pods: &[Pod]) -> bool {
    let status = &live.data["status"];
    status["observedGeneration"].as_i64() == live.metadata.generation
        && status["updatedReplicas"] == 1
        && status["currentRevision"] == status["updateRevision"]
        && (status["readyReplicas"] == 1 || pods.iter().any(|pod| serves(pod, status)))
}

/// Whether the server in this pod of the current template is ready; the container beside it, which
/// starts again whenever it has something to say, does not matter.
fn serves(pod: &Pod, set: &Value) -> bool {
    let current = pod
        .labels()
        .get("controller-revision-hash")
        .map(String::as_str);
    pod.metadata.deletion_timestamp.is_none()
        && Component::from_labels(pod.labels()) == Some(Component::Database)
        && current == set["updateRevision"].as_str()
        && pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
            .any(|container| container.name == SERVER && container.ready)
}

/// Whether a Deployment runs the current template on every replica, and on none of the old one.
#[must_use]
pub fn rolled_out(live: &DynamicObject) -> bool {
    let status = &live.data["status"];
    let count = |name: &str| status[name].as_i64().unwrap_or_default();
    let wanted = live.data["spec"]["replicas"].as_i64().unwrap_or(1);
    status["observedGeneration"].as_i64() == live.metadata.generation
        && count("updatedReplicas") == wanted
        && count("availableReplicas") == wanted
        && count("replicas") == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(ready: u8) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "demo-db", "generation": 3},
            "status": {"observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": ready,
                "currentRevision": "r", "updateRevision": "r"}}))
        .unwrap()
    }

    fn pod(revision: &str, server: bool) -> Pod {
        let container = |name: &str, ready: bool| json!({"name": name, "image": "x", "imageID": "", "ready": ready, "restartCount": 0});
        serde_json::from_value(json!({
            "metadata": {"name": "demo-db-0", "labels": {
                "app.kubernetes.io/component": "database", "controller-revision-hash": revision}},
            "status": {"containerStatuses": [container("postgres", server), container("watch", false)]},
        }))
        .unwrap()
    }

    #[test]
    fn a_server_is_ready_also_while_the_container_beside_it_starts_again() {
        assert!(server_ready(&set(1), &[]));
        assert!(server_ready(&set(0), &[pod("r", true)]));
        assert!(!server_ready(&set(0), &[pod("r", false)]));
        assert!(!server_ready(&set(0), &[pod("earlier", true)]));
        assert!(!server_ready(&set(0), &[]));
    }

    #[test]
    fn only_a_pod_that_has_not_ended_migrates() {
        let at_work = |part: &str, status: Value| {
            let pod = json!({"metadata": {"labels": {"app.kubernetes.io/component": part}}, "status": status});
            migrates(&serde_json::from_value(pod).unwrap())
        };
        for phase in ["Pending", "Running", "Unknown"] {
            assert!(at_work("migration", json!({"phase": phase})), "{phase}");
            assert!(!at_work("app", json!({"phase": phase})), "{phase}");
        }
        assert!(at_work("migration", json!({})));
        for phase in ["Succeeded", "Failed"] {
            assert!(!at_work("migration", json!({"phase": phase})), "{phase}");
        }
    }

    #[test]
    fn a_claim_goes_with_the_server_that_owns_it() {
        let identity = Identity {
            namespace: "ns".into(),
            name: "demo".into(),
            uid: "new".into(),
            generation: 1,
        };
        let object = |kind: &str, name: &str, uid: &str, owner: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": name, "uid": uid, "ownerReferences": [{
                "apiVersion": "v1", "kind": kind, "name": name_of(kind), "uid": owner, "controller": true}]}}))
            .unwrap()
        };
        fn name_of(kind: &str) -> &'static str {
            match kind {
                "StatefulSet" => "demo-db",
                _ => "demo",
            }
        }
        let body = json!({"metadata": {"name": "data-demo-db-0"}});
        let desired = Desired::from_body(Kind::PersistentVolumeClaim, Gate::IfPresent, body);
        let claim = object("StatefulSet", "data-demo-db-0", "claim", "server");
        let seen = |server: Option<&DynamicObject>| {
            presence(&identity, &desired.id, &claim, Some(&desired), server)
        };
        let server = |uid: &str, owner: &str| object("HelloService", "demo-db", uid, owner);
        assert_ne!(
            seen(Some(&server("server", "new"))),
            Some(Presence::Predecessor)
        );
        assert_ne!(
            seen(Some(&server("server", "new"))),
            Some(Presence::Foreign)
        );
        // It is gone, another one, or an earlier resource's.
        for server in [
            None,
            Some(server("other", "new")),
            Some(server("server", "old")),
        ] {
            assert_eq!(seen(server.as_ref()), Some(Presence::Predecessor));
        }
    }
}
