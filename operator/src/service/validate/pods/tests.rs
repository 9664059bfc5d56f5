use serde_json::{Value, json};

use super::*;

fn pods(spec: Value) -> Result<Pods> {
    Pods::parse(&serde_json::from_value(spec).unwrap())
}

fn of(given: Value, part: Component) -> PodSettings {
    pods(json!({"pods": given})).unwrap().of(part).clone()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn maps_and_named_items_of_a_part_are_added_to_those_of_all() {
    let all = json!({"labels": {"a": "1", "b": "1"}, "annotations": {"a": "1"}, "nodeSelector": {"a": "1"},
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}],
        "volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]});
    let app = json!({"labels": {"b": "2"}, "annotations": {"b": "2"}, "nodeSelector": {"a": "2"},
        "env": [{"name": "A", "value": "2"}],
        "volumes": [{"name": "b", "configMap": {"name": "b"}}],
        "volumeMounts": [{"name": "b", "mountPath": "/a"}]});
    let given = json!({"all": all, "app": app});
    let merged = of(given.clone(), Component::App);
    assert_eq!(merged.labels, map(&[("a", "1"), ("b", "2")]));
    assert_eq!(merged.annotations, map(&[("a", "1"), ("b", "2")]));
    assert_eq!(merged.node_selector, map(&[("a", "2")]));
    assert_eq!(
        json!(merged.env),
        json!([{"name": "B", "value": "1"}, {"name": "A", "value": "2"}])
    );
    assert_eq!(
        json!(merged.volumes),
        json!([{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "b"}}])
    );
    assert_eq!(
        json!(merged.mounts),
        json!([{"name": "b", "mountPath": "/b"}, {"name": "b", "mountPath": "/a"}])
    );
    for part in [Component::Database, Component::Migration, Component::Backup] {
        let other = of(given.clone(), part);
        assert_eq!(other.labels, map(&[("a", "1"), ("b", "1")]), "{part:?}");
        assert_eq!(other.env.len(), 2, "{part:?}");
    }
}

#[test]
fn each_other_field_of_a_part_replaces_that_of_all() {
    let settings = |n: i64| {
        let text = n.to_string();
        json!({"tolerations": [{"key": text}], "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": n, "preference": {"matchExpressions": [{"key": text, "operator": "Exists"}]}}]}},
            "topologySpreadConstraints": [{"topologyKey": text}], "priorityClassName": format!("p{n}"),
            "runtimeClassName": format!("r{n}"), "envFrom": [{"secretRef": {"name": text}}],
            "securityContext": {"runAsUser": n, "supplementalGroups": [n]}})
    };
    let given = json!({"all": settings(1), "backup": settings(2)});
    for (part, n) in [(Component::App, 1), (Component::Backup, 2)] {
        let (merged, text) = (of(given.clone(), part), n.to_string());
        assert_eq!(json!(merged.tolerations), json!([{"key": text}]));
        assert_eq!(json!(merged.affinity), settings(n)["affinity"]);
        assert_eq!(merged.spread.len(), 1);
        assert_eq!(merged.spread[0].topology_key, text);
        assert_eq!(merged.priority_class.unwrap().to_string(), format!("p{n}"));
        assert_eq!(merged.runtime_class.unwrap().to_string(), format!("r{n}"));
        assert_eq!(
            json!(merged.env_from),
            json!([{"secretRef": {"name": text}}])
        );
        assert_eq!(merged.security.run_as_user, Some(n));
        assert_eq!(merged.security.supplemental_groups, [n]);
    }
    // The fields of the security context are fields of their own.
    let given = json!({"all": {"securityContext": {"assignIds": false, "fsGroup": 5}}, "app": {"securityContext": {"runAsUser": 6}}});
    let security = of(given, Component::App).security;
    assert_eq!(security.assign_ids, Some(false));
    assert_eq!(
        (security.run_as_user, security.fs_group),
        (Some(6), Some(5))
    );
}

#[test]
fn of_the_resources_the_field_of_the_component_is_the_nearest() {
    let limit = |cpu: &str| json!({"limits": {"cpu": cpu}});
    let all = json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}});
    let parts = json!({"all": all, "app": {"resources": limit("2")}, "database": {"resources": limit("2")}});
    let spec = json!({"pods": parts, "resources": limit("3"), "database": {"managed": {"resources": limit("4")}}});
    let pods = pods(spec).unwrap();
    let cpu = |part| pods.of(part).resources.cpu.request.as_str().to_owned();
    assert_eq!(cpu(Component::App), "3");
    assert_eq!(cpu(Component::Database), "4");
    assert_eq!(cpu(Component::Migration), "1");
    assert_eq!(cpu(Component::Backup), "1");
    for part in Component::ALL {
        assert!(pods.of(part).resources.memory.limit.is_some(), "{part:?}");
    }
    let none = of(json!({}), Component::Backup).resources;
    assert_eq!((none.cpu.request.as_str(), none.cpu.limit), ("20m", None));
    let cluster = json!({"database": {"cloudNativePG": {"resources": limit("5")}}});
    let servers = Pods::parse(&serde_json::from_value(cluster).unwrap()).unwrap();
    let servers = servers.of(Component::Database);
    assert_eq!(servers.resources.cpu.request.as_str(), "5");
}

#[test]
fn a_part_has_the_shared_account_or_one_of_its_own_or_one_that_exists() {
    let named = |name: &str| json!({"serviceAccount": {"name": name}});
    let annotated = |value: &str| json!({"serviceAccount": {"annotations": {"role": value}}});
    let account = |given: Value| of(given, Component::Backup).account;
    let existing = |name: &str| Account::Existing(ObjectName::parse(name).unwrap());
    assert_eq!(account(json!({})), Account::Shared);
    assert_eq!(account(json!({"all": annotated("a")})), Account::Shared);
    assert_eq!(account(json!({"app": annotated("a")})), Account::Shared);
    assert_eq!(
        account(json!({"all": annotated("a"), "backup": annotated("b")})),
        Account::Own(map(&[("role", "b")]))
    );
    assert_eq!(account(json!({"all": named("a")})), existing("a"));
    assert_eq!(
        account(json!({"all": named("a"), "backup": named("b")})),
        existing("b")
    );
    assert_eq!(
        account(json!({"all": named("a"), "backup": annotated("b")})),
        Account::Own(map(&[("role", "b")]))
    );
    let nothing = json!({"serviceAccount": {}});
    assert_eq!(
        account(json!({"all": named("a"), "backup": nothing})),
        existing("a")
    );
    let shared = pods(json!({"pods": {"all": annotated("a")}})).unwrap();
    assert_eq!(shared.account_annotations, map(&[("role", "a")]));
}

/// The value `given` at `field` of all parts is refused with the name of that field.
#[track_caller]
fn refused(field: &str, given: Value) {
    let end = field.rsplit('.').next().unwrap();
    let given = if field.contains("serviceAccount.") {
        json!({"serviceAccount": {end: given}})
    } else {
        json!({end: given})
    };
    for level in ["all", "app", "database", "migration", "backup"] {
        let error = pods(json!({"pods": {level: given}})).unwrap_err();
        assert_eq!(error.class(), crate::error::Class::Invalid);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("spec.pods.{level}.{field}")),
            "{text}"
        );
    }
}

#[test]
fn what_the_operator_needs_cannot_be_replaced() {
    for key in [
        "app.kubernetes.io/name",
        "hello.internal/x",
        "pod-template-hash",
        "batch.kubernetes.io/job-name",
    ] {
        refused("labels", json!({key: "a"}));
        refused("annotations", json!({key: "a"}));
        refused("serviceAccount.annotations", json!({key: "a"}));
    }
    for name in [
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "PGDATA",
        "POSTGRES_PASSWORD_FILE",
        "HELLO_LISTEN",
        "HELLO_NEW",
        "PORT",
    ] {
        refused("env", json!([{"name": "A"}, {"name": name, "value": "a"}]));
    }
    for name in ["database", "data", "tmp"] {
        refused("volumes", json!([{"name": name, "emptyDir": {}}]));
    }
    for path in [
        "/",
        "",
        "/etc",
        "/etc/hello",
        "/etc//hello/",
        "/etc/hello/database/x",
        "/a/../etc/hello",
        "/dev/shm",
        "/proc/1",
    ] {
        refused("volumeMounts", json!([{"name": "a", "mountPath": path}]));
    }
}

#[test]
fn what_is_beside_it_is_accepted() {
    let driver = json!({"name": "b", "csi": {"driver": "secrets.example.com"}});
    let volumes = json!([{"name": "a", "emptyDir": {}}, driver]);
    let settings = |path: &str| {
        json!({"volumes": volumes, "volumeMounts": [{"name": "a", "mountPath": path}],
        "env": [{"name": "HELLO_THREADS", "value": "2"}, {"name": "HTTPS_PROXY", "value": "http://proxy"}],
        "labels": {"team": "a", "app.example.com/name": "a"}})
    };
    for path in ["/etc/hello2", "/etc/ssl", "/data", "/var/lib"] {
        assert!(
            pods(json!({"pods": {"app": settings(path)}})).is_ok(),
            "{path}"
        );
    }
    // Only the pods with PostgreSQL's programs have these.
    for path in ["/tmp", "/var/lib", "/tools"] {
        assert!(
            pods(json!({"pods": {"app": settings(path)}})).is_ok(),
            "{path}"
        );
        assert!(
            pods(json!({"pods": {"backup": settings(path)}})).is_err(),
            "{path}"
        );
        assert!(
            pods(json!({"pods": {"all": settings(path)}})).is_err(),
            "{path}"
        );
    }
}

#[test]
fn every_name_is_checked() {
    for hostile in ["?watch=true", "../x", "A", ""] {
        refused("priorityClassName", json!(hostile));
        refused("runtimeClassName", json!(hostile));
        refused("serviceAccount.name", json!(hostile));
        for source in [
            json!({"secret": {"secretName": hostile}}),
            json!({"configMap": {"name": hostile}}),
            json!({"persistentVolumeClaim": {"claimName": hostile}}),
        ] {
            let mut volume = source;
            volume["name"] = "a".into();
            refused("volumes", json!([volume]));
        }
    }
    refused("volumes", json!([{"name": "a"}]));
    refused(
        "volumes",
        json!([{"name": "a", "emptyDir": {}, "secret": {"secretName": "a"}}]),
    );
    let mount = json!({"app": {"volumeMounts": [{"name": "a", "mountPath": "/a"}]}});
    let error = pods(json!({"pods": mount})).unwrap_err().to_string();
    assert!(error.starts_with("spec.pods.app.volumeMounts"), "{error}");
}
