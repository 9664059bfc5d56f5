//! The Jobs of a restore.

use std::{collections::BTreeSet, path::Path};

use hello_crds::{HelloRestore, HelloService};
use hello_operator::{
    restore::{
        children,
        plan::step::Step,
        validate::{self, Order},
    },
    service::{
        dereference::inputs::Inputs,
        validate::{Validated, validate},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    pod_specs,
    specs::{images, validated},
};

/// The service in a recorded resource.
fn service(resource: &str) -> Validated {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder.join(format!("{resource}.resource.yaml"))).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let mut documents = documents.map(|document| Value::deserialize(document).unwrap());
    let raw = documents.find(|value| value["kind"] == "HelloService");
    let raw: HelloService = serde_json::from_value(raw.unwrap()).unwrap();
    validate(&raw, &images()).unwrap()
}

/// An order from this source.
fn order(service: &Validated, source: &Value) -> Order {
    let restore: HelloRestore = serde_json::from_value(json!({
        "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": "back", "namespace": "default", "uid": "4c2e1f6a-0000-4000-8000-000000000000"},
        "spec": {"service": {"name": service.identity.name}, "source": source},
    }))
    .unwrap();
    validate::validate(&restore).unwrap()
}

/// The Jobs of all steps, for the service in a recorded resource.
fn jobs(resource: &str, source: &Value) -> Vec<Value> {
    jobs_for(service(resource), source)
}

fn jobs_for(service: Validated, source: &Value) -> Vec<Value> {
    let order = order(&service, source);
    let service = order.sees(service);
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
    for job in jobs("full", &own()) {
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
    let without = validated("demo", &json!({"backup": {"enabled": false}}));
    let jobs_without = jobs_for(without.unwrap(), &own());
    assert_eq!(jobs_without.len(), Step::ALL.len() - 1);
    for resource in ["full", "cloudnativepg", "external", "minimal"] {
        let jobs = jobs(resource, &own());
        assert_eq!(jobs.len(), Step::ALL.len(), "{resource}");
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
        assert_eq!(
            names.collect::<BTreeSet<_>>().len(),
            Step::ALL.len(),
            "{resource}"
        );
    }
}

/// The newest backup of the service's own.
fn own() -> Value {
    json!({"backup": "latest"})
}

fn elsewhere(more: &Value) -> Value {
    let mut s3 = json!({"bucket": "company", "endpoint": "https://s3.example.com:9000"});
    s3.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"backup": "latest", "destination": {"s3": s3}})
}

#[test]
fn a_backup_of_another_service_is_read_where_that_has_left_it() {
    let access = json!({"credentialsSecretRef": {"name": "key"}, "caSecretRef": {"name": "ca"}, "prefix": "shop/hello"});
    for resource in ["full", "cloudnativepg", "external"] {
        let (before, jobs) = (jobs(resource, &own()), jobs(resource, &elsewhere(&access)));
        assert_eq!(
            before[1..],
            jobs[1..],
            "the other steps are in the database"
        );
        let pod = &jobs[0]["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments = container["args"].as_array().unwrap();
        let value = |option: &str| {
            let at = arguments.iter().position(|argument| argument == option);
            at.map(|at| arguments[at + 1].as_str().unwrap())
        };
        assert_eq!(value("--s3-bucket"), Some("company"), "{resource}");
        assert_eq!(value("--s3-prefix"), Some("shop/hello"));
        assert_eq!(value("--s3-endpoint"), Some("https://s3.example.com:9000"));
        assert_eq!(value("--directory"), None);
        assert!(!pod.to_string().contains("persistentVolumeClaim"));
        let secrets = container["env"].as_array().unwrap().iter();
        let keys = secrets.filter(|env| env["valueFrom"]["secretKeyRef"]["name"] == "key");
        assert_eq!(keys.count(), 3);
        let mut volumes = pod["volumes"].as_array().unwrap().iter();
        assert!(volumes.any(|volume| volume["secret"]["secretName"] == "ca"));
    }
    // Unless it had a prefix of its own, a service of the same name in the same namespace has made it.
    let jobs = jobs("external", &elsewhere(&json!({})));
    let arguments = jobs[0]["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    let name = service("external").identity.name;
    assert!(
        arguments.contains(&format!("default/{name}")),
        "{arguments}"
    );
}

/// The service's own backups are encrypted, and none of its other pods ever has what opens them.
#[test]
fn what_opens_a_backup_is_in_the_container_alone_that_reads_it() {
    let source =
        json!({"backup": "latest", "identitySecretRef": {"name": "age", "key": "key.txt"}});
    for resource in ["full", "cloudnativepg", "external"] {
        let jobs = jobs(resource, &source);
        let stage = &jobs[0]["spec"]["template"]["spec"];
        let mut volumes = stage["volumes"].as_array().unwrap().iter();
        let volume = volumes.find(|volume| volume["secret"]["secretName"] == "age");
        let volume = volume.unwrap();
        assert_eq!(volume["secret"]["items"][0]["key"], "key.txt");
        let mounts = |container: &Value| {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            mounts
                .filter(|mount| mount["name"] == volume["name"])
                .count()
        };
        assert_eq!(mounts(&stage["containers"][0]), 1);
        for init in stage["initContainers"].as_array().unwrap() {
            assert_eq!(mounts(init), 0, "{init}");
        }
        for job in &jobs[1..] {
            assert!(!job.to_string().contains("\"age\""), "{job}");
        }
        let before = self::jobs(resource, &own()).remove(0).to_string();
        assert!(!before.contains("--identity-file"));
    }
}

#[test]
fn the_pods_of_a_restore_may_reach_the_store_that_it_names() {
    let ports = |resource: &str, source: &Value, isolate: bool| {
        let mut service = service(resource);
        service.isolate = isolate;
        let order = order(&service, source);
        let policy = children::policy(&order, &service, &Inputs::offline())
            .unwrap()?
            .body;
        let job = children::job(
            &order,
            Step::Stage,
            &order.sees(service),
            &Inputs::offline(),
        );
        let pods = &job.unwrap().unwrap().body["spec"]["template"]["metadata"]["labels"];
        for (label, value) in policy["spec"]["podSelector"]["matchLabels"]
            .as_object()
            .unwrap()
        {
            assert_eq!(&pods[label], value, "{label}");
        }
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy["metadata"]["ownerReferences"][0]["name"], "back");
        let rules = policy["spec"]["egress"].as_array().unwrap().iter();
        let ports = rules.flat_map(|rule| rule["ports"].as_array().unwrap());
        Some(ports.map(|port| port["port"].clone()).collect::<Vec<_>>())
    };
    let key = json!({"credentialsSecretRef": {"name": "key"}});
    let volume = json!({"backup": "latest", "destination": {"volume": {"claimName": "others"}}});
    for resource in ["full", "external"] {
        assert_eq!(ports(resource, &own(), true), None);
        // It would close what is open.
        let with_key = elsewhere(&key);
        assert_eq!(ports(resource, &with_key, false), None);
        // What the database needs, and what the store does.
        let database = ports(resource, &volume, true).unwrap();
        assert!(database.contains(&json!(5432)), "{resource}");
        for (source, store) in [
            (with_key, vec![json!(9000)]),
            (elsewhere(&json!({})), vec![json!(443), json!(9000)]),
        ] {
            let expected = [database.clone(), store].concat();
            assert_eq!(ports(resource, &source, true), Some(expected));
        }
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
