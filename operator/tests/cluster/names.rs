//! Fields that name something take names only.

use serde_json::{Value, json};

use crate::world::World;

/// A spec for each field that names an object or a key, with this value.
fn naming(value: &str) -> Vec<(&'static str, Value)> {
    let oidc = |field: &str, place: Value| {
        let mut oidc = json!({"issuer": "https://id.example.com", "audience": ["hello"]});
        oidc[field] = place;
        json!({"auth": {"oidc": oidc}})
    };
    let ingress = |field: &str| {
        let mut ingress = json!({"host": "a.example.com"});
        ingress[field] = value.into();
        json!({"expose": {"ingress": ingress}})
    };
    let gateway = |field: &str| {
        let mut parent = json!({"name": "public"});
        parent[field] = value.into();
        json!({"expose": {"httpRoute": {"parentRefs": [parent]}}})
    };
    let volume = json!({"size": "1Gi", "storageClassName": value});
    vec![
        (
            "spec.imagePullSecrets[0].name",
            json!({"imagePullSecrets": [{"name": value}]}),
        ),
        ("spec.tls.secretName", json!({"tls": {"secretName": value}})),
        (
            "spec.auth.oidc.caSecretRef.name",
            oidc("caSecretRef", json!({"name": value})),
        ),
        (
            "spec.auth.oidc.caConfigMapRef.name",
            oidc("caConfigMapRef", json!({"name": value})),
        ),
        (
            "spec.auth.oidc.caSecretRef.key",
            oidc("caSecretRef", json!({"name": "a", "key": value})),
        ),
        ("spec.expose.ingress.className", ingress("className")),
        (
            "spec.expose.ingress.tlsSecretName",
            ingress("tlsSecretName"),
        ),
        ("spec.expose.httpRoute.parentRefs[0].name", gateway("name")),
        (
            "spec.expose.httpRoute.parentRefs[0].namespace",
            gateway("namespace"),
        ),
        (
            "spec.expose.httpRoute.parentRefs[0].sectionName",
            gateway("sectionName"),
        ),
        (
            "spec.database.external.secretRef.name",
            json!({"database": {"external": {"secretRef": {"name": value}}}}),
        ),
        (
            "spec.database.external.secretRef.key",
            json!({"database": {"external": {"secretRef": {"name": "a", "key": value}}}}),
        ),
        (
            "spec.database.managed.storage.storageClassName",
            json!({"database": {"managed": {"storage": volume}}}),
        ),
        (
            "spec.database.cloudNativePG.storage.storageClassName",
            json!({"database": {"cloudNativePG": {"storage": volume}}}),
        ),
        (
            "spec.backup.destination.volume.storageClassName",
            json!({"backup": {"schedule": "@daily", "destination": {"volume": volume}}}),
        ),
    ]
}

/// They get into the operator's requests, and into paths of files.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_with_a_name_takes_names_only() {
    let world = World::new("names").await;
    for value in [
        "?watch=true",
        "a/../b",
        "..",
        "",
        "a b",
        "a%2fb",
        "é",
        "a\n",
        "#",
    ] {
        for (field, spec) in naming(value) {
            let answer = world.try_out("demo", &spec).await;
            let message = answer
                .expect_err(&format!("{spec} was accepted"))
                .to_string();
            assert!(message.contains(field), "{field}: {message}");
        }
    }
    for (field, spec) in naming("a-1") {
        let answer = world.try_out("demo", &spec).await;
        assert!(answer.is_ok(), "{field}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_setting_of_the_managed_database_is_taken() {
    let world = World::new("settings-of-the-database").await;
    let apply = async |settings: Value| {
        let spec = json!({"database": {"managed": {"parameters": settings}}});
        world.try_out("demo", &spec).await
    };
    for names in hello_crds::PARAMETERS.chunks(50) {
        let answer = apply(names.iter().map(|name| (*name, "1")).collect()).await;
        assert!(answer.is_ok(), "{names:?}: {answer:?}");
    }
    let answer = apply(json!({"archive_command": "true"})).await;
    let message = answer.unwrap_err().to_string();
    assert!(
        message.contains("spec.database.managed.parameters"),
        "{message}"
    );
}
