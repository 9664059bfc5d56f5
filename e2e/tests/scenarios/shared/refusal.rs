//! Resources that the API server refuses, with a message that names the field.

use hello_e2e::{Hello, Result, ensure, scenario};
use serde_json::{Value, json};

/// What is wrong, the spec, and what the message has to name.
fn mistakes() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "fewer than no replicas",
            json!({"replicas": -1}),
            "spec.replicas",
        ),
        (
            "too many replicas",
            json!({"replicas": 100_000}),
            "spec.replicas",
        ),
        (
            "replicas as text",
            json!({"replicas": "two"}),
            "spec.replicas",
        ),
        (
            "a field that does not exist",
            json!({"replica": 2}),
            "spec.replica",
        ),
        (
            "an image of blanks",
            json!({"image": "hello app"}),
            "spec.image",
        ),
        (
            "an unknown pull policy",
            json!({"imagePullPolicy": "Sometimes"}),
            "spec.imagePullPolicy",
        ),
        (
            "autoscaling without a maximum",
            json!({"autoscaling": {"minReplicas": 1}}),
            "spec.autoscaling.maxReplicas",
        ),
        (
            "a maximum below the minimum",
            json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
            "spec.autoscaling.maxReplicas",
        ),
        (
            "no CPU as a target",
            json!({"autoscaling": {"maxReplicas": 2, "targetCPUUtilizationPercentage": 0}}),
            "spec.autoscaling.targetCPUUtilizationPercentage",
        ),
        (
            "CPU that is no quantity",
            json!({"resources": {"requests": {"cpu": "lots"}}}),
            "spec.resources.requests.cpu",
        ),
        (
            "a request above its limit",
            json!({"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}),
            "resources.requests.memory",
        ),
        (
            "a time zone with a blank",
            json!({"config": {"timeZone": "Mars Base"}}),
            "spec.config.timeZone",
        ),
        (
            "an unknown leap day",
            json!({"config": {"leapDay": "feb30"}}),
            "spec.config.leapDay",
        ),
        (
            "an unknown alphabet",
            json!({"config": {"usernames": "latin"}}),
            "spec.config.usernames",
        ),
        (
            "an unknown log level",
            json!({"config": {"logLevel": "loud"}}),
            "spec.config.logLevel",
        ),
        (
            "port 0",
            json!({"expose": {"service": {"port": 0}}}),
            "spec.expose.service.port",
        ),
        (
            "a node port without one",
            json!({"expose": {"service": {"type": "ClusterIP", "nodePort": 30081}}}),
            "spec.expose.service.nodePort",
        ),
        (
            "an Ingress without a host",
            json!({"expose": {"ingress": {}}}),
            "spec.expose.ingress.host",
        ),
        (
            "two databases",
            json!({"database": {"managed": {}, "external": {"secretRef": {"name": "a"}}}}),
            "spec.database",
        ),
        ("no database", json!({"database": {}}), "spec.database"),
        (
            "a size that is no quantity",
            json!({"database": {"managed": {"storage": {"size": "lots"}}}}),
            "spec.database.managed.storage.size",
        ),
        (
            "a setting that belongs to the operator",
            json!({"database": {"managed": {"parameters": {"port": "1"}}}}),
            "spec.database.managed.parameters",
        ),
        (
            "an invalid schedule",
            json!({"backup": {"schedule": "nightly"}}),
            "spec.backup.schedule",
        ),
        (
            "no backup to keep",
            json!({"backup": {"schedule": "@daily", "retention": {"keepLast": 0}}}),
            "spec.backup.retention.keepLast",
        ),
        (
            "no format",
            json!({"backup": {"schedule": "@daily", "formats": []}}),
            "spec.backup.formats",
        ),
        (
            "an unknown format",
            json!({"backup": {"schedule": "@daily", "formats": ["tar"]}}),
            "spec.backup.formats",
        ),
        (
            "an unknown deletion policy",
            json!({"deletionPolicy": "Forget"}),
            "spec.deletionPolicy",
        ),
        (
            "a last backup without backups",
            json!({"deletionPolicy": "Snapshot", "backup": {"enabled": false}}),
            "spec.deletionPolicy",
        ),
    ]
}

/// Changes of an existing resource.
fn forbidden_changes() -> Vec<(&'static str, Value, &'static str)> {
    vec![(
        "another kind of database",
        json!({"database": {"managed": null, "external": {"secretRef": {"name": "a"}}}}),
        "spec.database",
    )]
}

#[tokio::test]
async fn a_wrong_resource_is_refused_and_the_field_named() -> Result<()> {
    scenario::run("refusal", async |s| {
        let mut accepted = Vec::new();
        for (what, spec, field) in mistakes() {
            let result = Hello::named(s, "hello").apply_exactly(spec).await.map(drop);
            check(what, field, result.map_err(Into::into), &mut accepted);
        }
        let long = Hello::named(s, &"a".repeat(41))
            .apply_exactly(json!({}))
            .await
            .map(drop);
        check(
            "a name of 41 letters",
            "metadata.name",
            long.map_err(Into::into),
            &mut accepted,
        );

        // Paused, so that no child is created and deleted for it.
        let paused = json!({"paused": true, "database": {"managed": {"storage": {"size": "2Gi"}}}});
        let hello = Hello::apply(s, "hello", paused).await?;
        for (what, spec, field) in forbidden_changes() {
            check(
                what,
                field,
                hello.change(spec).await.map(drop),
                &mut accepted,
            );
        }
        ensure!(
            accepted.is_empty(),
            "unexpected results:\n{}",
            accepted.join("\n")
        );
        s.figure(format!(
            "{} mistakes refused by name",
            mistakes().len() + 1 + forbidden_changes().len()
        ));
        Ok(())
    })
    .await
}

fn check(what: &str, field: &str, result: Result<()>, problems: &mut Vec<String>) {
    match result {
        Ok(()) => problems.push(format!("{what}: accepted")),
        Err(error) if !format!("{error:#}").contains(field) => {
            problems.push(format!(
                "{what}: the message does not name {field}: {error:#}"
            ));
        }
        Err(_) => {}
    }
}
