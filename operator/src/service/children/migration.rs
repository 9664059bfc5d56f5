//! The migration Job. Its name is a hash of its inputs: the same inputs are never run twice, and
//! other inputs are another Job.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{owned, pod};
use crate::{
    object::{
        child,
        names::{self, Component, key},
    },
    service::{
        dereference::inputs::Inputs,
        validate::{Database, Validated},
    },
};

/// Longest time a migration may take, in seconds.
const DEADLINE: i64 = 3600;

pub fn job(service: &Validated, inputs: &Inputs, database: &str) -> Job {
    let instance = &service.identity.name;
    let has_roles = service.database.has_roles();
    let roles = if has_roles {
        inputs.credentials.roles_fingerprint()
    } else {
        String::new()
    };
    let hash = child::hash(&format!("{}\n{database}\n{roles}", service.image.as_str()));
    let (volume, mount, mut env) = pod::database_address(service, Component::Migration);
    if has_roles {
        env.push(pod::env(
            "HELLO_APP_ROLE_PASSWORD_FILE",
            pod::database_file(key::APP_PASSWORD),
        ));
        env.push(pod::env(
            "HELLO_BACKUP_ROLE_PASSWORD_FILE",
            pod::database_file(key::BACKUP_PASSWORD),
        ));
    }
    if matches!(service.database, Database::Managed { .. }) {
        // When the owner's password was lost and replaced, the server learns the new one only as soon as
        // its kubelet has looked at the Secret again.
        env.push(pod::env("HELLO_WAIT_TIMEOUT", "180s"));
    }
    env.push(pod::env(
        "HELLO_LOG_LEVEL",
        service.config.log_level.as_str(),
    ));
    let container = Container {
        args: Some(vec!["migrate".into()]),
        env: Some(env),
        resources: Some(pod::small_resources()),
        volume_mounts: Some(vec![mount]),
        ..pod::container(service, "migrate", service.image.as_str())
    };
    let mut spec = pod::spec(service, pod::APP_USER, vec![container], vec![volume]);
    spec.restart_policy = Some("Never".into());
    spec.termination_grace_period_seconds = Some(10);
    Job {
        metadata: owned(
            service,
            names::migration(instance, &hash[..10]),
            Component::Migration,
        ),
        spec: Some(JobSpec {
            // One more try for a node that goes away; what fails twice needs a person.
            backoff_limit: Some(1),
            active_deadline_seconds: Some(DEADLINE),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::labels(instance, Component::Migration)),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}
