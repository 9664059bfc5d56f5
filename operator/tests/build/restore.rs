//! The Jobs of a restore.

use std::{collections::BTreeSet, path::Path};

use hello_crds::{HelloRestore, HelloService};
use hello_operator::{
    restore::{children, plan::step::Step, validate},
    service::{dereference::inputs::Inputs, validate as service},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{pod_specs, specs::images};

/// The Jobs of all steps, for the service in a recorded resource.
fn jobs(resource: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder.join(format!("{resource}.resource.yaml"))).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let mut documents = documents.map(|document| Value::deserialize(document).unwrap());
    let raw = documents.find(|value| value["kind"] == "HelloService");
    let raw: HelloService = serde_json::from_value(raw.unwrap()).unwrap();
    let service = service::validate(&raw, &images()).unwrap();
    let restore: HelloRestore = serde_json::from_value(json!({
        "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": "back", "namespace": "default", "uid": "4c2e1f6a-0000-4000-8000-000000000000"},
        "spec": {"service": {"name": service.identity.name}, "source": {"backup": "latest"}},
    }))
    .unwrap();
    let order = validate::validate(&restore).unwrap();
    let inputs = Inputs::offline();
    let build = |step| children::job(&order, step, &service, &inputs).unwrap();
    let jobs = Step::ALL.into_iter().filter_map(build);
    jobs.map(|job| job.body).collect()
}

#[test]
fn the_jobs_of_a_restore_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join("restore.jobs.yaml");
    let mut rendered = String::new();
    for job in jobs("full") {
        rendered.push_str("---\n");
        rendered.push_str(&serde_yaml::to_string(&job).unwrap());
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(expected, rendered);
}

/// For every kind of database; but nothing can be staged without backups.
#[test]
fn a_step_of_a_restore_only_reads_the_backups_and_is_a_job_of_its_own() {
    for (resource, has_backups) in [
        ("full", true),
        ("cloudnativepg", true),
        ("external", true),
        ("minimal", false),
    ] {
        let jobs = jobs(resource);
        let steps = Step::ALL.len() - usize::from(!has_backups);
        assert_eq!(jobs.len(), steps, "{resource}");
        for job in &jobs {
            let mut pods = Vec::new();
            pod_specs(job, &mut pods);
            let container = &pods[0]["containers"][0];
            assert_eq!(container["name"], "restore");
            let mounts = container["volumeMounts"].as_array().unwrap();
            for mount in mounts.iter().filter(|mount| mount["name"] == "backups") {
                assert_eq!(mount["readOnly"], true, "{resource}");
            }
            let labels = &job["spec"]["template"]["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/component"], "restore");
            assert_eq!(labels["hello.internal/restore"], "back");
            // The throw-away server has nothing of the service.
            for init in pods[0]["initContainers"].as_array().into_iter().flatten() {
                assert!(init["env"].is_null(), "{resource}: {init}");
            }
        }
        let names = jobs.iter().map(|job| job["metadata"]["name"].to_string());
        assert_eq!(names.collect::<BTreeSet<_>>().len(), steps, "{resource}");
    }
}

#[test]
fn the_longest_name_leaves_room_for_those_of_the_pods() {
    let restore: HelloRestore = serde_json::from_value(json!({
        "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": "a".repeat(40), "namespace": "default", "uid": "u"},
        "spec": {"service": {"name": "demo"}, "source": {"backup": "latest"}},
    }))
    .unwrap();
    let order = validate::validate(&restore).unwrap();
    for step in Step::ALL {
        let name = children::name(&order, step);
        // The label of the pods with the name of their Job has at most 63 characters.
        assert!(name.len() <= 63, "{name}");
    }
}
