//! What the live objects mean for the decision: everything that the planner depends on.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::Pod,
};
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        live::TypedChild,
        names::{self, Component},
        pod::SeenPod,
        replicas,
    },
    service::{
        children::Prepared,
        dereference::{inputs::Inputs, observed::Observed},
        plan::{
            data,
            presence::{Presence, outdated},
            stuck_pod::stuck_pod,
        },
        validate::{Scaling, Validated},
    },
};

/// Everything that the planner depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Children that are there.
    pub present: BTreeMap<ChildId, Presence>,
    /// Phases of the migration Jobs among them.
    pub jobs: BTreeMap<ChildId, JobPhase>,
    /// Drifted children of which something else was wanted when they were written: no other writer changed them. The
    /// actions are the same; the reason of the write differs.
    pub outdated: BTreeSet<ChildId>,
    /// Whether other data is there in place of the service's own.
    pub data_replaced: bool,
    /// Whether the database answers and runs what is wanted.
    pub database_ready: bool,
    /// Why the address of an external database is not known, in words.
    pub unusable_address: Option<String>,
    /// Whether a pod of some migration may be at work, whatever became of its Job.
    pub migrating: bool,
    /// The pod of the managed database that its controller waits for in vain.
    pub stuck_pod: Option<SeenPod>,
    /// The Deployment, and the migration that came before its template, as it was recorded there. No other one has begun
    /// since then, so the schema is the one that this migration left.
    pub recorded: Option<(ChildId, String)>,
    /// Replicas of the Deployment, when it exists.
    pub live_replicas: Option<i32>,
    /// Replicas wanted; `None` leaves them to the autoscaler.
    pub wanted_replicas: Option<i32>,
    /// Fewest replicas that the autoscaler may choose; `None` when there is none.
    pub least_replicas: Option<i32>,
    /// Replicas of a Deployment that is created now.
    pub initial_replicas: i32,
    /// Whether the operator holds the number of replicas although it is not the operator's to keep: the next update
    /// would remove it.
    pub holds_replicas: bool,
    /// Accounts, and the workloads that exist and name them. A pod whose account is gone cannot be replaced.
    pub accounts: BTreeMap<ChildId, BTreeSet<ChildId>>,
    /// Kinds that the cluster does not serve.
    pub missing: BTreeSet<Kind>,
    /// Whether children may be changed at all.
    pub paused: bool,
}

/// State of a migration Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobPhase {
    /// Its pods may be running.
    Active,
    /// It has done its work.
    Succeeded,
    /// It has given up, and would fail again.
    Failed,
    /// It has given up for a reason that may pass, or cannot succeed as it is. Another one of its name may.
    Interrupted,
}

impl JobPhase {
    /// From the status of a Job.
    #[must_use]
    pub fn from_job(job: &Job) -> Self {
        let Some(status) = &job.status else {
            return Self::Active;
        };
        let find = |wanted: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions.find(|c| c.type_ == wanted && c.status == "True")
        };
        if let Some(failed) = find("Failed") {
            // Its policy for failures ends it when its program says that another attempt fails as well. The limits are
            // for everything else: a database that is away, an image that cannot be pulled, a node that is lost.
            match failed.reason.as_deref() {
                Some("BackoffLimitExceeded" | "DeadlineExceeded") => Self::Interrupted,
                _ => Self::Failed,
            }
        } else if find("Complete").is_some() || status.succeeded.unwrap_or_default() > 0 {
            Self::Succeeded
        } else {
            Self::Active
        }
    }
}

impl Facts {
    /// What was read, in the planner's terms. Whether the database is ready is judged afterwards, from these facts.
    #[must_use]
    pub(super) fn from_observed(
        service: &Validated,
        prepared: &Prepared,
        observed: &Observed,
        inputs: &Inputs,
    ) -> Self {
        let mut facts = Self {
            unusable_address: inputs.unusable_address.clone(),
            wanted_replicas: prepared.replicas,
            initial_replicas: initial_replicas(service, prepared, observed),
            least_replicas: match service.scaling {
                Scaling::Auto { min, .. } => Some(min),
                Scaling::Fixed(_) | Scaling::External { .. } => None,
            },
            missing: observed.missing.clone(),
            paused: service.paused,
            data_replaced: data::is_replaced(service, &observed.children),
            migrating: observed.pods.iter().any(migrates),
            ..Self::default()
        };
        let server = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
        let server = observed.children.get(&server);
        for (id, live) in observed.children.iter() {
            let desired = prepared.children.iter().find(|child| child.id == *id);
            let identity = &service.identity;
            let Some(presence) = Presence::from_live(identity, id, live, desired, server) else {
                continue;
            };
            if let Some(job) = Job::from_live(live)
                && presence != Presence::Foreign
            {
                let phase = match JobPhase::from_job(job) {
                    // Its pods are as it was created, and none of them is at work.
                    JobPhase::Active if is_superseded(live.object(), desired, &observed.pods) => {
                        JobPhase::Interrupted
                    }
                    phase => phase,
                };
                facts.jobs.insert(id.clone(), phase);
            }
            if let Some(deployment) = Deployment::from_live(live)
                && desired.is_some()
            {
                let spec = deployment.spec.as_ref();
                facts.live_replicas = spec.and_then(|spec| spec.replicas);
                facts.holds_replicas = holds_replicas(live.object(), prepared.replicas.is_none());
                let recorded = live.object().annotations().get(names::MIGRATION_ANNOTATION);
                facts.recorded = recorded
                    .filter(|_| presence.is_ours())
                    .map(|job| (id.clone(), job.clone()));
            }
            if let Some(set) = StatefulSet::from_live(live)
                && presence == Presence::Settled
                && desired.is_some()
            {
                facts.stuck_pod = stuck_pod(set, &observed.pods);
            }
            if presence == Presence::Drifted
                && desired.is_some_and(|child| outdated(live.object(), child))
            {
                facts.outdated.insert(id.clone());
            }
            if let Some(account) = account(live.object()) {
                let workloads = facts.accounts.entry(account).or_default();
                workloads.insert(id.clone());
            }
            facts.present.insert(id.clone(), presence);
        }
        facts
    }
}

/// The account of the pods of a workload.
fn account(workload: &DynamicObject) -> Option<ChildId> {
    let template = [
        "/spec/template/spec/serviceAccountName",
        "/spec/jobTemplate/spec/template/spec/serviceAccountName",
    ];
    let name = template.iter().find_map(|path| workload.data.pointer(path));
    Some(ChildId::new(Kind::ServiceAccount, name?.as_str()?))
}

/// Whether a manager of the operator holds the number of replicas that should not.
fn holds_replicas(deployment: &DynamicObject, autoscaled: bool) -> bool {
    replicas::holds(deployment, names::MANAGER)
        || (autoscaled && replicas::holds(deployment, names::SCALE_MANAGER))
}

/// Application pods to start with: a Deployment that was deleted comes back with the number that
/// the autoscaler chose last.
fn initial_replicas(service: &Validated, prepared: &Prepared, observed: &Observed) -> i32 {
    let name = names::app(&service.identity.name);
    let autoscaler = observed.children.typed::<HorizontalPodAutoscaler>(&name);
    let (Scaling::Auto { min, max, .. }, Some(autoscaler)) = (service.scaling, autoscaler) else {
        return prepared.initial_replicas;
    };
    let status = autoscaler.status.as_ref();
    let chosen = status.map_or(min, |status| status.desired_replicas);
    chosen.max(min).min(max)
}

/// Whether a Job that has not ended was made from another template than the wanted one, and no pod of a migration runs.
/// A Job cannot be changed, and what keeps its pods from starting may have been corrected.
fn is_superseded(job: &DynamicObject, desired: Option<&Desired>, pods: &[Pod]) -> bool {
    desired.is_some_and(|desired| outdated(job, desired)) && !pods.iter().any(runs_migration)
}

fn is_of_migration(pod: &Pod) -> bool {
    Component::from_labels(pod.labels()) == Some(Component::Migration)
}

/// Whether a container of the pod of a migration runs.
fn runs_migration(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut containers = status
        .into_iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    is_of_migration(pod)
        && containers.any(|container| {
            container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        })
}

/// Whether this is the pod of a migration that may be changing the schema. Its Job may be gone: only
/// the operator waits for the pods when it deletes one.
fn migrates(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    is_of_migration(pod) && !matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        object::{kind::Gate, live::Live},
        service::{
            children::build,
            validate::{DefaultImages, validate},
        },
    };
    use serde_json::{Value, json};

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
    fn the_account_of_a_workload_is_in_its_template() {
        let pod = json!({"spec": {"serviceAccountName": "a"}});
        for (spec, found) in [
            (json!({"template": pod}), Some("ServiceAccount a")),
            (
                json!({"jobTemplate": {"spec": {"template": pod}}}),
                Some("ServiceAccount a"),
            ),
            (json!({"template": {"spec": {}}}), None),
            (
                json!({"template": {"spec": {"serviceAccountName": 1}}}),
                None,
            ),
        ] {
            let object = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
            let account = account(&object).map(|id| id.to_string());
            assert_eq!(account.as_deref(), found, "{spec}");
        }
    }

    #[test]
    fn the_phase_of_a_job_is_its_end_or_that_it_has_none() {
        let phase = |status: Value| {
            let job = json!({"metadata": {"name": "demo"}, "status": status});
            JobPhase::from_job(&serde_json::from_value(job).unwrap())
        };
        let condition =
            |type_: &str, status: &str| json!({"conditions": [{"type": type_, "status": status}]});
        assert_eq!(phase(Value::Null), JobPhase::Active);
        assert_eq!(phase(json!({"active": 1})), JobPhase::Active);
        assert_eq!(phase(json!({"succeeded": 1})), JobPhase::Succeeded);
        assert_eq!(phase(json!({"succeeded": 0})), JobPhase::Active);
        assert_eq!(phase(condition("Complete", "True")), JobPhase::Succeeded);
        assert_eq!(phase(condition("Complete", "False")), JobPhase::Active);
        assert_eq!(phase(condition("Failed", "True")), JobPhase::Failed);
        assert_eq!(phase(condition("Suspended", "True")), JobPhase::Active);
    }

    #[test]
    fn the_scale_manager_may_hold_the_number_unless_an_autoscaler_owns_it() {
        let deployment = |manager: &str| {
            let entry = json!({"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}});
            serde_json::from_value(json!({"metadata": {"managedFields": [entry]}})).unwrap()
        };
        for autoscaled in [true, false] {
            assert!(holds_replicas(&deployment(names::MANAGER), autoscaled));
            let scale = deployment(names::SCALE_MANAGER);
            assert_eq!(holds_replicas(&scale, autoscaled), autoscaled);
            assert!(!holds_replicas(&deployment("kubectl"), autoscaled));
        }
    }

    /// The facts about a service with this scaling of which these objects are there.
    fn facts(scaling: Value, objects: &[(Kind, Value)]) -> Facts {
        let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "uid": "u"}, "spec": scaling});
        let images = DefaultImages {
            app: "hello-app:1".into(),
            postgres: "postgres:18".into(),
        };
        let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
        let inputs = Inputs::offline();
        let prepared = build(&service, &inputs).prepare().unwrap();
        let owner = json!([{"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "name": "demo", "uid": "u", "controller": true}]);
        let mut observed = Observed::default();
        for (kind, object) in objects {
            let mut object = object.clone();
            object["metadata"] = json!({"name": "demo", "ownerReferences": owner});
            let live = Live::parse(*kind, serde_json::from_value(object).unwrap()).unwrap();
            observed.children.insert(ChildId::new(*kind, "demo"), live);
        }
        Facts::from_observed(&service, &prepared, &observed, &inputs)
    }

    #[test]
    fn a_new_deployment_starts_with_the_number_that_the_autoscaler_chose_last() {
        let auto = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}});
        let initial = |desired: i32| {
            let status = json!({"desiredReplicas": desired});
            let autoscaler = (Kind::HorizontalPodAutoscaler, json!({"status": status}));
            facts(auto.clone(), &[autoscaler]).initial_replicas
        };
        for (desired, expected) in [(0, 2), (2, 2), (4, 4), (9, 5)] {
            assert_eq!(initial(desired), expected, "{desired}");
        }
        assert_eq!(facts(auto.clone(), &[]).initial_replicas, 2);
        let fresh = (Kind::HorizontalPodAutoscaler, json!({}));
        assert_eq!(facts(auto, &[fresh]).initial_replicas, 2);
        // A number of the spec is not the autoscaler's, also while that is still there.
        let status = json!({"status": {"desiredReplicas": 9}});
        let fixed = facts(
            json!({"replicas": 3}),
            &[(Kind::HorizontalPodAutoscaler, status)],
        );
        assert_eq!(fixed.initial_replicas, 3);
        assert_eq!(fixed.wanted_replicas, Some(3));
    }

    #[test]
    fn the_facts_name_what_is_there() {
        let deployment = json!({"spec": {"replicas": 4, "selector": {}, "template": {}}});
        let job = json!({"status": {"succeeded": 1}});
        let facts = facts(
            json!({"paused": true}),
            &[(Kind::Deployment, deployment), (Kind::Job, job)],
        );
        let id = |kind| ChildId::new(kind, "demo");
        assert_eq!(facts.live_replicas, Some(4));
        assert_eq!(facts.present[&id(Kind::Deployment)], Presence::Drifted);
        // Without the hash, something else was never wanted.
        assert!(facts.outdated.is_empty());
        assert_eq!(facts.jobs, [(id(Kind::Job), JobPhase::Succeeded)].into());
        assert!(facts.paused && !facts.migrating && !facts.database_ready);
    }

    #[test]
    fn only_the_limits_of_a_job_leave_room_for_another_attempt() {
        for (reason, phase) in [
            (json!("PodFailurePolicy"), JobPhase::Failed),
            (json!("Surprise"), JobPhase::Failed),
            (json!(null), JobPhase::Failed),
            (json!("BackoffLimitExceeded"), JobPhase::Interrupted),
            (json!("DeadlineExceeded"), JobPhase::Interrupted),
        ] {
            let condition = json!({"type": "Failed", "status": "True", "reason": reason});
            let job = json!({"status": {"conditions": [condition]}});
            let job: Job = serde_json::from_value(job).unwrap();
            assert_eq!(JobPhase::from_job(&job), phase, "{reason}");
        }
    }

    /// A missing pull secret that was added, for example: it is not among the inputs that name the Job.
    #[test]
    fn a_job_of_another_template_is_replaced_unless_a_pod_of_it_runs() {
        let desired = Desired::from_body(
            Kind::Job,
            Gate::Migration,
            json!({"metadata": {"name": "j"}}),
        );
        let job = |hash: &str| -> DynamicObject {
            let metadata = json!({"name": "j", "annotations": {names::HASH_ANNOTATION: hash}});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let pod = |component: &str, state: Value| -> Pod {
            serde_json::from_value(
                json!({"metadata": {"labels": {names::COMPONENT_LABEL: component}},
                "status": {"containerStatuses": [{"name": "migrate", "image": "i", "imageID": "",
                    "ready": false, "restartCount": 0, "state": state}]}}),
            )
            .unwrap()
        };
        let (running, waiting) = (json!({"running": {}}), json!({"waiting": {}}));
        for (hash, pods, superseded) in [
            (&*desired.hash, vec![], false),
            ("0", vec![], true),
            ("0", vec![pod("migration", waiting)], true),
            ("0", vec![pod("migration", running.clone())], false),
            ("0", vec![pod("app", running)], true),
        ] {
            assert_eq!(is_superseded(&job(hash), Some(&desired), &pods), superseded);
        }
        assert!(!is_superseded(&job("0"), None, &[]));
    }
}
