//! Runs of the backups that cannot start, and were made of a template that has been corrected since.
//!
//! The schedule starts no run beside another one, so such a run would keep the corrected one away for as long as a backup
//! may take. A Job cannot be changed: it is deleted. One that works is never interrupted.

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        live::{LiveObjects, TypedChild},
        names::{self, Component},
        owner::controller,
        pod::{self, is_owned_by},
        subset,
    },
    service::{children::Prepared, plan::job_phase::JobPhase},
};

/// The runs of the schedule to delete.
pub fn stuck_runs<'a>(
    prepared: &'a Prepared,
    live: &'a LiveObjects,
    pods: &'a [Pod],
) -> impl Iterator<Item = ChildId> + 'a {
    let mut children = prepared.children.iter();
    let schedule = children.find(|child| child.id.kind == Kind::CronJob);
    let uid = schedule.and_then(|child| Some(live.get(&child.id)?.uid()));
    let schedule = schedule.zip(uid);
    live.iter().filter_map(move |(id, object)| {
        let (wanted, uid) = schedule.as_ref()?;
        let job = Job::from_live(object).filter(|_| !object.is_deleting())?;
        let by_schedule = controller(object.object()).is_some_and(|owner| owner.uid == *uid);
        let stuck = by_schedule
            && Component::from_labels(job.labels()) == Some(Component::Backup)
            // One that a person made of the schedule keeps nothing away.
            && !job.annotations().contains_key(names::BY_HAND_ANNOTATION)
            && JobPhase::from_job(job) == JobPhase::Active
            && is_of_another_template(object.object(), wanted)
            && !pods.iter().any(|pod| is_at_work(pod, &object.uid()));
        stuck.then(|| id.clone())
    })
}

fn is_of_another_template(job: &kube::api::DynamicObject, schedule: &Desired) -> bool {
    let wanted = schedule.body.pointer("/spec/jobTemplate/spec/template");
    wanted.is_some_and(|wanted| !subset::contains(&job.data["spec"]["template"], wanted))
}

/// Whether a container of this run works: a sidecar waits for the others. What has ended is not at work: another one may have to start still.
fn is_at_work(pod: &Pod, run: &str) -> bool {
    is_owned_by(pod, run) && pod::workers(pod).any(pod::runs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{kind::Gate, live::Live};

    fn template(image: &str) -> Value {
        json!({"spec": {"containers": [{"name": "backup", "image": image}]}})
    }

    fn live(kind: Kind, name: &str, object: Value) -> (ChildId, Live) {
        let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
        (ChildId::new(kind, name), live)
    }

    /// Whether a run is deleted: its metadata and status are changed like this, and its only pod has this status.
    fn is_stuck(image: &str, change: &[(&str, Value)], pod: Value) -> bool {
        let body = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "demo-backup", "uid": "c"},
            "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template("right")}}}});
        let mut job = json!({"metadata": {"name": "run", "uid": "r", "labels": {"app.kubernetes.io/component": "backup"},
            "annotations": {}, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "demo-backup",
                "uid": "c", "controller": true}]},
            "spec": {"template": template(image)}, "status": {"active": 1}});
        for (path, value) in change {
            *job.pointer_mut(path).unwrap() = value.clone();
        }
        let mut objects = LiveObjects::default();
        for (id, object) in [
            live(Kind::CronJob, "demo-backup", body.clone()),
            live(Kind::Job, "run", job),
        ] {
            objects.insert(id, object);
        }
        let pod = json!({"metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "run",
            "uid": "r"}]}, "status": pod});
        let pods = [serde_json::from_value(pod).unwrap()];
        let prepared = Prepared {
            children: vec![Desired::from_body(Kind::CronJob, Gate::Always, body)],
            replicas: None,
            initial_replicas: 1,
        };
        stuck_runs(&prepared, &objects, &pods).count() == 1
    }

    #[test]
    fn only_a_run_of_a_former_template_that_does_not_work_is_stuck() {
        let container = |state: Value| json!([{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
        let waiting = json!({"containerStatuses": container(json!({"waiting": {"reason": "ImagePullBackOff"}}))});
        assert!(is_stuck("wrong", &[], waiting.clone()));
        assert!(is_stuck("wrong", &[], json!({})));
        assert!(!is_stuck("right", &[], waiting.clone()));
        for list in ["containerStatuses", "initContainerStatuses"] {
            let running = json!({list: container(json!({"running": {}}))});
            assert!(!is_stuck("wrong", &[], running), "{list}");
        }
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        for change in [
            ("/status", complete),
            (
                "/metadata/annotations",
                json!({names::BY_HAND_ANNOTATION: "manual"}),
            ),
            ("/metadata/ownerReferences/0/uid", json!("another")),
            (
                "/metadata/labels",
                json!({"app.kubernetes.io/component": "migration"}),
            ),
        ] {
            assert!(
                !is_stuck("wrong", std::slice::from_ref(&change), waiting.clone()),
                "{change:?}"
            );
        }
    }
}
