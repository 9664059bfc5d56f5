//! What an upgrade keeps, and what it restarts.

use std::collections::BTreeMap;

use hello_e2e::cluster::command;
use hello_e2e::{Context, Hello, Result, Scenario, ensure};
use serde_json::{Value, json};

/// What outlives even the removal of the operator: data, backups and credentials.
const DATA: [(&str, &str, &[&str]); 3] = [
    (
        "persistentvolumeclaim",
        "data-hello-db-0",
        &["/spec/volumeName"],
    ),
    (
        "persistentvolumeclaim",
        "hello-backup",
        &["/spec/volumeName"],
    ),
    (
        "secret",
        "hello-credentials",
        &[
            "/data/owner-password",
            "/data/app-password",
            "/data/backup-password",
        ],
    ),
];
/// What stays the same object while a service exists.
const OBJECTS: [(&str, &str, &[&str]); 7] = [
    ("secret", "hello-ca", &["/data"]),
    (
        "cronjob",
        "hello-backup",
        &["/spec/schedule", "/spec/timeZone", "/spec/suspend"],
    ),
    ("statefulset", "hello-db", &[]),
    ("deployment", "hello", &[]),
    (
        "service",
        "hello",
        &["/spec/clusterIP", "/spec/ports/0/nodePort"],
    ),
    ("service", "hello-db", &[]),
    (
        "horizontalpodautoscaler",
        "hello",
        &["/spec/minReplicas", "/spec/maxReplicas"],
    ),
];

/// Objects by name, each with its UID and the fields that must not change.
pub struct Kept(BTreeMap<String, Value>);

impl Kept {
    /// Everything that an upgrade keeps.
    ///
    /// # Errors
    /// When an object is missing.
    pub async fn all(s: &Scenario) -> Result<Self> {
        let mut kept = Self::data(s).await?;
        for (kind, name, fields) in OBJECTS {
            kept.add(s, kind, name, fields).await?;
        }
        Ok(kept)
    }

    /// What a removal keeps.
    ///
    /// # Errors
    /// When an object is missing.
    pub async fn data(s: &Scenario) -> Result<Self> {
        let mut kept = Self(BTreeMap::new());
        for (kind, name, fields) in DATA {
            kept.add(s, kind, name, fields).await?;
        }
        Ok(kept)
    }

    async fn add(&mut self, s: &Scenario, kind: &str, name: &str, fields: &[&str]) -> Result<()> {
        let object = get(s, &["get", kind, name, "--output=json"]).await?;
        let object: Value = serde_json::from_str(&object)?;
        let deleted = &object["metadata"]["deletionTimestamp"];
        ensure!(deleted.is_null(), "{kind} {name} is being deleted");
        let values: Vec<_> = fields
            .iter()
            .map(|field| object.pointer(field).cloned())
            .collect();
        let kept = json!([object["metadata"]["uid"], values]);
        self.0.insert(format!("{kind} {name}"), kept);
        Ok(())
    }

    /// Each object of `now` is the same here.
    ///
    /// # Errors
    /// With the name of one that is another one, or has changed. No value: some are passwords.
    pub fn ensure_same(&self, now: &Self, when: &str) -> Result<()> {
        for (name, value) in &now.0 {
            ensure!(
                self.0.get(name) == Some(value),
                "{when}: {name} is not what it was"
            );
        }
        Ok(())
    }
}

/// How often the pods of the app and of the database were replaced by those of another template, the first ones included.
///
/// # Errors
/// When they cannot be listed.
pub async fn templates(s: &Scenario) -> Result<(usize, usize)> {
    let app = "--selector=app.kubernetes.io/instance=hello,app.kubernetes.io/component=app";
    let app = get(s, &["get", "replicasets", app, "--output=name"]).await?;
    let database = get(s, &["get", "controllerrevisions", "--output=name"]).await?;
    Ok((app.lines().count(), database.lines().count()))
}

/// No container of the service was started again in its pod.
///
/// # Errors
/// When one was, or there is none.
pub async fn ensure_no_crash(hello: &Hello) -> Result<()> {
    let starts = hello.starts().await?;
    ensure!(!starts.is_empty(), "no container runs");
    let again: Vec<_> = starts
        .iter()
        .filter(|start| !start.ends_with(" 0"))
        .collect();
    ensure!(again.is_empty(), "containers were started again: {again:?}");
    Ok(())
}

/// The definitions store one version only, so nothing of an earlier one is left.
///
/// # Errors
/// When one stores another version, too.
pub async fn ensure_one_stored_version(s: &Scenario) -> Result<()> {
    for kind in ["helloservices", "hellorestores"] {
        let name = format!("{kind}.hello.internal");
        let path = "--output=jsonpath={.status.storedVersions}";
        let stored = get(s, &["get", "customresourcedefinition", &name, path]).await?;
        ensure!(stored == r#"["v1alpha1"]"#, "{name} stores {stored}");
    }
    Ok(())
}

async fn get(s: &Scenario, args: &[&str]) -> Result<String> {
    let namespaced = [&["--namespace", s.namespace.as_str()], args].concat();
    command::kubectl(&namespaced)
        .await
        .context("reading the state")
}
