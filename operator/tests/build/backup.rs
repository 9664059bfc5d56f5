//! The Job of a backup that a person requests.

use hello_crds::HelloService;
use hello_operator::service::{children::build, dereference::inputs::Inputs, validate::validate};
use serde_json::{Value, json};

use crate::specs::images;

/// The objects of a service with backups, of which one may be requested, and the UID of whose schedule may be known.
fn objects(annotations: Value, schedule: Option<&str>) -> Vec<Value> {
    let service: HelloService = serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "annotations": annotations},
        "spec": {"backup": {"schedule": "0 2 * * *"}},
    }))
    .unwrap();
    let inputs = Inputs {
        backup_schedule: schedule.map(Into::into),
        ..Inputs::offline()
    };
    let service = validate(&service, &images()).unwrap();
    let prepared = build(&service, &inputs).prepare().unwrap();
    let children = prepared.children.into_iter();
    children.map(|child| child.body).collect()
}

/// The objects of this kind that are about backups.
fn of_backups<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let is_one = |object: &&Value| {
        object["kind"] == kind
            && object["metadata"]["labels"]["app.kubernetes.io/component"] == "backup"
    };
    objects.iter().filter(is_one).collect()
}

#[test]
fn a_requested_backup_is_a_run_of_the_schedule_and_belongs_to_it() {
    let request = json!({"hello.internal/backup-requested-at": "1"});
    let made = objects(request.clone(), Some("schedule"));
    let [schedule] = of_backups(&made, "CronJob")[..] else {
        panic!("one schedule")
    };
    let [job] = of_backups(&made, "Job")[..] else {
        panic!("one Job")
    };
    assert_eq!(job["spec"], schedule["spec"]["jobTemplate"]["spec"]);
    assert_eq!(
        job["metadata"]["ownerReferences"],
        json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "demo-backup", "uid": "schedule",
            "controller": true}])
    );
    let annotations = &job["metadata"]["annotations"];
    assert_eq!(annotations["cronjob.kubernetes.io/instantiate"], "manual");
    // Without a request there is none, and none without what it would belong to.
    for made in [objects(json!({}), Some("schedule")), objects(request, None)] {
        assert!(of_backups(&made, "Job").is_empty());
    }
}
