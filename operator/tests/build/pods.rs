//! Settings of pods, in the objects.

use serde_json::{Value, json};

use crate::{
    only, pod_specs,
    specs::{objects, validated},
};

/// A spec with every volume, path and variable that the operator sets.
fn everything() -> Value {
    json!({"tls": {"secretName": "a"}, "backup": {"schedule": "@daily"},
        "config": {"rateLimit": {"requests": 1, "burst": 1, "trustedProxies": ["::1"]}},
        "auth": {"oidc": {"issuer": "https://a", "audience": ["a"], "adminScope": "a", "caSecretRef": {"name": "a"}}}})
}

fn texts(pod: &Value, list: &str, of: &str, field: &str) -> Vec<String> {
    let containers = pod[list].as_array().into_iter().flatten();
    let items = containers.flat_map(|container| container[of].as_array().into_iter().flatten());
    items
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

/// Otherwise a new variable, volume or path of the operator could be replaced by a setting.
#[test]
fn no_setting_can_replace_what_the_operator_sets() {
    for (part, kind, name) in [
        ("app", "Deployment", "demo"),
        ("database", "StatefulSet", "demo-db"),
        ("backup", "CronJob", "demo-backup"),
    ] {
        let object = only(&everything(), kind, name);
        let mut pods = Vec::new();
        pod_specs(&object, &mut pods);
        let pod = &pods[0];
        let refused = |settings: Value| {
            let mut spec = everything();
            spec["pods"] = json!({part: settings});
            let error = validated("demo", &spec).expect_err(&settings.to_string());
            assert!(
                error.to_string().starts_with(&format!("spec.pods.{part}.")),
                "{error}"
            );
        };
        let own = "containers";
        for variable in texts(pod, own, "env", "name") {
            // The watching container has variables of its own.
            if ![
                "FILES",
                "PASSWORDS",
                "DATA",
                "NEARLY_FULL",
                "ROOM",
                "SAYS_NEARLY_FULL",
                "SAYS_ROOM",
            ]
            .contains(&&*variable)
            {
                refused(json!({"env": [{"name": variable}]}));
            }
        }
        for path in texts(pod, own, "volumeMounts", "mountPath") {
            let volumes = json!([{"name": "a", "emptyDir": {}}]);
            refused(
                json!({"volumes": volumes, "volumeMounts": [{"name": "a", "mountPath": path}]}),
            );
        }
        for volume in pod["volumes"].as_array().unwrap() {
            refused(json!({"volumes": [{"name": volume["name"], "emptyDir": {}}]}));
        }
        let labels = object.pointer("/spec/template/metadata/labels");
        let labels =
            labels.or_else(|| object.pointer("/spec/jobTemplate/spec/template/metadata/labels"));
        for label in labels.unwrap().as_object().unwrap().keys() {
            refused(json!({"labels": {label: "a"}}));
        }
    }
}

#[test]
fn each_part_has_its_own_settings_and_account() {
    let settings = |part: &str| json!({"labels": {"part": part}, "serviceAccount": {"annotations": {"part": part}}});
    let mut spec = json!({"backup": {"schedule": "@daily"}, "pods": {}});
    let parts = ["app", "database", "migration", "backup"];
    for part in parts {
        spec["pods"][part] = settings(part);
    }
    let mut seen = Vec::new();
    for object in objects(&spec) {
        let template = object.pointer("/spec/template");
        let template = template.or_else(|| object.pointer("/spec/jobTemplate/spec/template"));
        let Some(template) = template else { continue };
        let labels = &template["metadata"]["labels"];
        let part = labels["app.kubernetes.io/component"].as_str().unwrap();
        assert_eq!(labels["part"], part);
        let account = template["spec"]["serviceAccountName"].as_str().unwrap();
        let account = only(&spec, "ServiceAccount", account);
        assert_eq!(account["metadata"]["annotations"]["part"], part);
        assert_eq!(account["automountServiceAccountToken"], false);
        seen.push(part.to_owned());
        // Selectors cannot change, so no setting may be in them.
        assert!(
            !object["spec"]["selector"].to_string().contains("part\""),
            "{object}"
        );
    }
    seen.sort();
    assert_eq!(seen, ["app", "backup", "database", "migration"]);
}

#[test]
fn ids_can_be_left_to_the_cluster_but_nothing_runs_as_root() {
    let context = |security: Value| {
        let spec = json!({"pods": {"all": {"securityContext": security}}});
        let deployment = only(&spec, "Deployment", "demo");
        deployment["spec"]["template"]["spec"]["securityContext"].clone()
    };
    let assigned = context(json!({"assignIds": false}));
    assert_eq!(assigned["runAsNonRoot"], true);
    for id in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(assigned.get(id), None, "{id}");
        assert_eq!(context(json!({}))[id], 65532, "{id}");
        assert_eq!(context(json!({"assignIds": false, id: 5}))[id], 5, "{id}");
        assert_eq!(context(json!({id: 5}))[id], 5, "{id}");
    }
}

/// A pod that cannot be scheduled for want of a toleration must be replaced when the toleration is added.
#[test]
fn other_settings_of_migrations_are_another_job_and_none_are_the_former_one() {
    let job = |pods: Value| {
        let objects = objects(&json!({"pods": pods}));
        let job = objects
            .iter()
            .find(|object| object["kind"] == "Job")
            .unwrap();
        job["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let none = job(Value::Null);
    assert_eq!(job(json!({})), none);
    assert_eq!(job(json!({"app": {"labels": {"a": "b"}}})), none);
    let tolerations = json!({"tolerations": [{"key": "a"}]});
    assert_ne!(job(json!({"migration": tolerations})), none);
    assert_ne!(job(json!({"all": tolerations})), none);
}

/// What is restored there runs with the rights of that server, such as functions of a dump.
#[test]
fn the_throw_away_server_of_a_backup_has_nothing_of_the_service() {
    let settings = json!({"env": [{"name": "A", "value": "b"}], "envFrom": [{"secretRef": {"name": "a"}}],
        "volumes": [{"name": "a", "secret": {"secretName": "a"}}], "volumeMounts": [{"name": "a", "mountPath": "/a"}],
        "resources": {"limits": {"memory": "1Gi"}}});
    for (database, room) in [
        (
            json!({"managed": {"storage": {"size": "3Gi"}}}),
            json!("6Gi"),
        ),
        (
            json!({"cloudNativePG": {"storage": {"size": "4Gi"}}}),
            json!("8Gi"),
        ),
        (
            json!({"external": {"secretRef": {"name": "a"}}}),
            Value::Null,
        ),
    ] {
        let mut spec = json!({"database": database, "pods": {"backup": settings},
            "backup": {"schedule": "@daily", "image": "b:18"}});
        let pod = |spec: &Value| {
            let mut pods = Vec::new();
            pod_specs(&only(spec, "CronJob", "demo-backup"), &mut pods);
            pods.remove(0)
        };
        let made = pod(&spec);
        let server = &made["initContainers"][1];
        assert_eq!(
            (&server["name"], &server["restartPolicy"]),
            (&json!("scratch"), &json!("Always"))
        );
        for field in ["env", "envFrom", "ports"] {
            assert_eq!(server[field], Value::Null, "{field}");
        }
        let mounts = json!([{"name": "tools", "mountPath": "/tools", "readOnly": true},
            {"name": "proof", "mountPath": "/scratch"}]);
        assert_eq!(server["volumeMounts"], mounts);
        let main = &made["containers"][0];
        assert_eq!(
            (&server["image"], &server["resources"]),
            (&json!("b:18"), &main["resources"])
        );
        assert_eq!(server["image"], main["image"]);
        let limit = |pod: &Value| {
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == "proof");
            volume.unwrap()["emptyDir"]["sizeLimit"].clone()
        };
        assert_eq!(limit(&made), room);
        spec["backup"]["verify"] = json!({"scratch": {"size": "9Gi"}});
        assert_eq!(limit(&pod(&spec)), "9Gi");
    }
}
