//! Every CEL rule accepts valid values and refuses invalid ones, evaluated from the generated schema. Bounds and patterns
//! of single fields are tested on a real API server, in the operator's integration tests.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

mod database;
mod expose;

use hello_crds::HelloService;
use kube::core::cel::{validate_cel, validate_cel_update};
use serde_json::{Value, json};

fn service(spec: Value) -> HelloService {
    named("demo", spec)
}

fn named(name: &str, spec: Value) -> HelloService {
    serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1",
        "kind": "HelloService",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": spec,
    }))
    .unwrap()
}

/// Messages of the rules that refuse a new resource. Empty: it is accepted.
fn refusals(service: &HelloService) -> String {
    validate_cel(service).map_or_else(|errors| errors.to_string(), |()| String::new())
}

/// Messages of the rules that refuse a change.
fn change(old: Value, new: Value) -> String {
    validate_cel_update(&service(new), &service(old))
        .map_or_else(|errors| errors.to_string(), |()| String::new())
}

#[track_caller]
fn accepted(spec: Value) {
    assert_eq!(refusals(&service(spec.clone())), "", "{spec}");
}

#[track_caller]
fn refused(spec: Value, field: &str) {
    let refusals = refusals(&service(spec.clone()));
    assert!(
        refusals.contains(field),
        "{spec}: {refusals:?} does not name {field}"
    );
}

#[test]
fn names_leave_room_for_the_names_of_children() {
    for name in ["a", "hello", "my-hello-2", &"a".repeat(40)] {
        assert_eq!(refusals(&named(name, json!({}))), "", "{name}");
    }
    for name in ["2hello", "hello.world", "hello-", &"a".repeat(41)] {
        assert!(
            refusals(&named(name, json!({}))).contains("metadata.name"),
            "{name}"
        );
    }
}

#[test]
fn an_empty_spec_is_accepted() {
    accepted(json!({}));
}

#[test]
fn autoscaling_bounds_are_in_order() {
    accepted(json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}));
    accepted(json!({"autoscaling": {"maxReplicas": 5}}));
    refused(
        json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
        "spec.autoscaling.maxReplicas",
    );
}

#[test]
fn a_scaler_of_the_users_own_has_bounds_of_its_own() {
    let with = |fields: Value| json!({"autoscaling": fields});
    accepted(with(json!({"external": true})));
    accepted(with(json!({"external": true, "minReplicas": 5})));
    accepted(with(
        json!({"maxReplicas": 3, "targetMemoryUtilizationPercentage": 80,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}}),
    ));
    refused(with(json!({})), "spec.autoscaling.maxReplicas");
    for extra in [
        json!({"maxReplicas": 3}),
        json!({"behavior": {"scaleUp": {"selectPolicy": "Max"}}}),
        json!({"targetMemoryUtilizationPercentage": 80}),
    ] {
        let mut fields = extra;
        fields["external"] = true.into();
        refused(with(fields), "spec.autoscaling.external");
    }
}

#[test]
fn a_disruption_budget_has_one_bound() {
    let with = |budget: Value| json!({"disruptionBudget": budget});
    for field in ["maxUnavailable", "minAvailable"] {
        for value in [json!(0), json!(2), json!("0%"), json!("25%"), json!("100%")] {
            accepted(with(json!({field: value})));
        }
        for value in [json!(-1), json!("101%"), json!("many")] {
            refused(
                with(json!({field: value})),
                &format!("spec.disruptionBudget.{field}"),
            );
        }
    }
    refused(with(json!({})), "spec.disruptionBudget");
    refused(
        with(json!({"maxUnavailable": 1, "minAvailable": 1})),
        "spec.disruptionBudget",
    );
}

#[test]
fn requests_stay_below_limits() {
    accepted(json!({"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}}));
    accepted(json!({"resources": {"requests": {"cpu": "2"}}}));
    accepted(json!({"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1024Mi"}}}));
    refused(
        json!({"resources": {"requests": {"cpu": "1001m"}, "limits": {"cpu": "1"}}}),
        "resources.requests.cpu",
    );
    refused(
        json!({"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}}),
        "resources.requests.memory",
    );
    refused(
        json!({"database": {"managed": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}}}),
        "resources.requests.cpu",
    );
}

#[test]
fn backups_have_one_destination() {
    let with =
        |destination: Value| json!({"backup": {"schedule": "@daily", "destination": destination}});
    let bucket = |more: Value| {
        let mut s3 = json!({"bucket": "backups"});
        s3.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        with(json!({"s3": s3}))
    };
    let volume = json!({"size": "1Gi"});
    accepted(with(json!({})));
    accepted(with(json!({"volume": volume})));
    accepted(bucket(json!({})));
    let both = json!({"volume": volume, "s3": {"bucket": "backups"}});
    refused(with(both), "spec.backup.destination: set volume or s3");
    let ca = json!({"name": "ca"});
    accepted(bucket(json!({"caSecretRef": ca})));
    let both = json!({"caSecretRef": ca, "caConfigMapRef": ca});
    refused(bucket(both), "destination.s3: set caSecretRef");
    for endpoint in [
        "https://s3.example.com",
        "http://10.0.0.1:9000",
        "http://[2001:db8::1]:9000/",
    ] {
        accepted(bucket(json!({"endpoint": endpoint})));
    }
    for endpoint in [
        "https://s3.example.com:0",
        "https://s3.example.com:65536",
        "http://s3.example.com:port",
    ] {
        refused(
            bucket(json!({"endpoint": endpoint})),
            "destination.s3.endpoint",
        );
    }
    // From one to the other at any time.
    let volume = with(json!({"volume": volume}));
    assert_eq!(change(volume.clone(), bucket(json!({}))), "");
    assert_eq!(change(bucket(json!({})), volume), "");
}

#[test]
fn an_issuer_is_a_url() {
    let with = |issuer: &str| json!({"auth": {"oidc": {"issuer": issuer, "audience": ["hello"]}}});
    for issuer in [
        "https://id.example.com",
        "https://id.example.com/realms/staff",
        "https://id.example.com:8443/",
        "https://[2001:db8::1]:8443/a",
    ] {
        accepted(with(issuer));
    }
    for issuer in [
        "https://id.example.com:0",
        "https://id.example.com:65536",
        "https://id.example.com:port",
    ] {
        refused(with(issuer), "spec.auth.oidc.issuer");
    }
}

#[test]
fn the_issuers_certificates_come_from_one_place() {
    let with = |fields: &[&str]| {
        let mut oidc = json!({"issuer": "https://id.example.com", "audience": ["hello"]});
        for field in fields {
            oidc[field] = json!({"name": "ca"});
        }
        json!({"auth": {"oidc": oidc}})
    };
    accepted(with(&[]));
    accepted(with(&["caSecretRef"]));
    accepted(with(&["caConfigMapRef"]));
    refused(with(&["caSecretRef", "caConfigMapRef"]), "spec.auth.oidc");
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let with = |proxies: &[&str]| json!({"config": {"rateLimit": {"requests": 1, "trustedProxies": proxies}}});
    accepted(with(&[]));
    accepted(with(&[
        "10.0.0.0/8",
        "192.0.2.1",
        "2001:db8::/32",
        "::1",
        "0.0.0.0/0",
    ]));
    for wrong in [
        "proxy",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0",
        "2001:db8::1/32",
    ] {
        refused(
            with(&["10.0.0.0/8", wrong]),
            "spec.config.rateLimit.trustedProxies",
        );
    }
}

#[test]
fn labels_need_a_service_monitor_and_exclude_the_operators_own() {
    accepted(json!({"monitoring": {"serviceMonitor": true}}));
    accepted(
        json!({"monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"release": "prometheus"}}}),
    );
    refused(
        json!({"monitoring": {"serviceMonitorLabels": {"release": "prometheus"}}}),
        "spec.monitoring.serviceMonitorLabels",
    );
    refused(
        json!({"monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"app.kubernetes.io/name": "x"}}}),
        "spec.monitoring.serviceMonitorLabels",
    );
}

#[test]
fn settings_of_pods_that_nobody_would_act_on_are_refused() {
    let with = |part: &str, settings: Value| json!({"pods": {part: settings}});
    let in_database = |database: Value, settings: Value| json!({"database": database, "pods": {"database": settings}});
    let external = json!({"external": {"secretRef": {"name": "db"}}});
    let cluster = json!({"cloudNativePG": {}});
    let label = json!({"labels": {"a": "b"}});
    accepted(in_database(json!({"managed": {}}), label.clone()));
    accepted(in_database(cluster.clone(), label.clone()));
    accepted(json!({"database": external, "pods": {"all": label, "app": label}}));
    refused(in_database(external, label), "spec.pods.database");
    for settings in [
        json!({"runtimeClassName": "a"}),
        json!({"securityContext": {"runAsUser": 5}}),
        json!({"volumes": [{"name": "a", "emptyDir": {}}]}),
        json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}),
        json!({"serviceAccount": {"name": "a"}}),
    ] {
        accepted(in_database(json!({"managed": {}}), settings.clone()));
        refused(in_database(cluster.clone(), settings), "spec.pods.database");
    }
    // One type for all parts.
    for part in ["all", "backup"] {
        accepted(with(part, json!({"serviceAccount": {"name": "a"}})));
        accepted(with(
            part,
            json!({"serviceAccount": {"annotations": {"a": "b"}}}),
        ));
        let both = json!({"serviceAccount": {"name": "a", "annotations": {"a": "b"}}});
        refused(with(part, both), "serviceAccount");
        accepted(with(
            part,
            json!({"volumes": [{"name": "a", "emptyDir": {}}]}),
        ));
        refused(with(part, json!({"volumes": [{"name": "a"}]})), "volumes");
        let two =
            json!({"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "a"}}]});
        refused(with(part, two), "volumes");
        let spread = |unsatisfiable: &str| json!({"topologySpreadConstraints": [{"topologyKey": "a", "whenUnsatisfiable": unsatisfiable, "minDomains": 2}]});
        accepted(with(part, spread("DoNotSchedule")));
        refused(with(part, spread("ScheduleAnyway")), "minDomains");
        refused(
            with(
                part,
                json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            ),
            "resources.requests.cpu",
        );
    }
}
