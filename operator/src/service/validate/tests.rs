use super::*;
use crate::object::{names::Component, quantity::Quantity};
use serde_json::json;

fn check(spec: serde_json::Value) -> Result<Validated> {
    let service = serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}, "spec": spec,
    }))
    .unwrap();
    let images = DefaultImages::of_tests();
    validate(&service, &images)
}

#[test]
fn an_empty_spec_has_sane_defaults() {
    let validated = check(json!({})).unwrap();
    assert_eq!(validated.scaling, Scaling::Fixed(2));
    assert_eq!(validated.image.as_str(), "hello-app:1");
    assert!(validated.kept == Kept::All && validated.isolate && !validated.paused);
    let resources = &validated.pods.of(Component::App).resources;
    assert_eq!(resources.cpu.request.as_str(), "50m");
    assert_eq!(resources.memory.request.as_str(), "64Mi");
    assert_eq!(resources.memory.limit, Quantity::parse("256Mi"));
    let run = &validated.pods.of(Component::Migration).resources;
    assert_eq!((&run.cpu.limit, &run.memory.limit), (&None, &None));
    assert_eq!(validated.postgres_image.as_str(), "postgres:18");
}

#[test]
fn wrong_values_name_their_field() {
    for (spec, field) in [
        (
            json!({"config": {"timeZone": "Mars/Olympus"}}),
            "spec.config.timeZone",
        ),
        (
            json!({"backup": {"schedule": "0 2 * * *", "timeZone": "Nope"}}),
            "spec.backup.timeZone",
        ),
        (json!({"image": "a b"}), "spec.image"),
        (
            json!({"database": {"managed": {"image": "a b"}}}),
            "spec.database.managed.image",
        ),
        (json!({"tls": {"secretName": "A"}}), "spec.tls.secretName"),
        (
            json!({"database": {"external": {"secretRef": {"name": "A"}}}}),
            "spec.database.external.secretRef.name",
        ),
        (
            json!({"auth": {"oidc": {"issuer": "https://a", "audience": ["hello"],
                "caSecretRef": {"name": "A"}}}}),
            "spec.auth.oidc.caSecretRef.name",
        ),
        (
            json!({"auth": {"oidc": {"issuer": "https://a", "audience": ["hello"],
                "caConfigMapRef": {"name": "A"}}}}),
            "spec.auth.oidc.caConfigMapRef.name",
        ),
        (
            json!({"resources": {"limits": {"cpu": "x"}}}),
            "spec.resources.limits.cpu",
        ),
        (
            json!({"database": {"managed": {"storage": {"size": "x"}}}}),
            "spec.database.managed.storage.size",
        ),
        (
            json!({"database": {"managed": {"resources": {"limits": {"cpu": "x"}}}}}),
            "spec.database.managed.resources.limits.cpu",
        ),
        (
            json!({"database": {"cloudNativePG": {"storage": {"size": "x"}}}}),
            "spec.database.cloudNativePG.storage.size",
        ),
        (
            json!({"database": {"cloudNativePG": {"resources": {"limits": {"cpu": "x"}}}}}),
            "spec.database.cloudNativePG.resources.limits.cpu",
        ),
        (
            json!({"backup": {"schedule": "@daily", "destination": {"volume": {"size": "x"}}}}),
            "spec.backup.destination.volume.size",
        ),
        (
            json!({"expose": {"service": {"port": 0}}}),
            "spec.expose.service.port",
        ),
        (
            json!({"expose": {"service": {"nodePort": 70000}}}),
            "spec.expose.service.nodePort",
        ),
        (
            json!({"database": {"managed": {"sharedMemory": "x"}}}),
            "spec.database.managed.sharedMemory",
        ),
        (
            json!({"autoscaling": {"minReplicas": 2}}),
            "spec.autoscaling.maxReplicas",
        ),
        (
            json!({"networkPolicy": {"dnsPort": 0}}),
            "spec.networkPolicy.dnsPort",
        ),
        (json!({"database": {}}), "spec.database"),
        (
            json!({"auth": {"oidc": {"issuer": "https://a b", "audience": ["hello"]}}}),
            "spec.auth.oidc.issuer",
        ),
        (
            json!({"auth": {"oidc": {"issuer": "http://a", "audience": ["hello"]}}}),
            "spec.auth.oidc.issuer",
        ),
        (
            json!({"database": {"cloudNativePG": {"image": "a b"}}}),
            "spec.database.cloudNativePG.image",
        ),
    ] {
        let error = check(spec).unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
        assert_eq!(error.class(), crate::error::Class::Invalid);
    }
}

#[test]
fn a_number_in_quotes_is_a_number() {
    for (given, expected) in [
        (json!("2"), IntOrString::Int(2)),
        (json!(2), IntOrString::Int(2)),
        (json!("2%"), IntOrString::String("2%".into())),
    ] {
        let spec = json!({"disruptionBudget": {"maxUnavailable": given, "minAvailable": given}});
        let budget = check(spec).unwrap().disruption_budget.unwrap();
        assert_eq!(budget.max_unavailable, Some(expected.clone()));
        assert_eq!(budget.min_available, Some(expected));
    }
}

#[test]
fn the_port_of_the_issuer_is_known() {
    for (issuer, port) in [
        ("https://id.example.com", 443),
        ("https://id.example.com/realms/staff", 443),
        ("https://id.example.com:8443/", 8443),
        ("https://[2001:db8::1]:444", 444),
    ] {
        let oidc = json!({"issuer": issuer, "audience": ["hello"]});
        let validated = check(json!({"auth": {"oidc": oidc}})).unwrap();
        assert_eq!(validated.oidc.unwrap().port, port, "{issuer}");
    }
}
