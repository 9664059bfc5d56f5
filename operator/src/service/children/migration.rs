//! The migration Job. Its name has a hash of its inputs: the same inputs never run twice, and other inputs are another
//! Job.

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, PodTemplateSpec},
};

use super::{
    database::{address, kind::DatabaseKind},
    metadata::owned,
    pod,
};
use crate::{
    object::{
        child,
        names::{self, Component, key},
    },
    service::{dereference::inputs::Inputs, validate::Validated},
};

/// Longest time a migration may take, in seconds.
const DEADLINE: i64 = 3600;

/// The Job that migrates the database with this identity.
pub fn job(
    service: &Validated,
    inputs: &Inputs,
    database: &dyn DatabaseKind,
    identity: &str,
) -> Job {
    let hash = input_hash(service, inputs, identity);
    let name = names::migration(&service.identity.name, &hash[..10]);
    Job {
        metadata: owned(service, name, Component::Migration),
        spec: Some(JobSpec {
            // One retry for a node that goes away. What fails twice needs a person.
            backoff_limit: Some(1),
            active_deadline_seconds: Some(DEADLINE),
            template: template(service, database),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Hash of everything that asks for another migration.
fn input_hash(service: &Validated, inputs: &Inputs, identity: &str) -> String {
    let roles = if service.database.has_roles() {
        inputs.credentials.roles_fingerprint()
    } else {
        String::new()
    };
    // A pod that never starts, such as for want of a toleration, is replaced when its settings are corrected.
    let pods = &service.pods.of(Component::Migration).fingerprint;
    child::hash(&format!(
        "{}\n{identity}\n{roles}{pods}",
        service.image.as_str()
    ))
}

fn template(service: &Validated, database: &dyn DatabaseKind) -> PodTemplateSpec {
    let address = database.address(Component::Migration);
    let mut env = address.variables;
    if service.database.has_roles() {
        env.extend(
            [
                ("HELLO_APP_ROLE_PASSWORD_FILE", key::APP_PASSWORD),
                ("HELLO_BACKUP_ROLE_PASSWORD_FILE", key::BACKUP_PASSWORD),
            ]
            .map(|(name, key)| pod::env(name, address::file(key))),
        );
    }
    env.extend(database.migration_variables());
    env.push(pod::env(
        "HELLO_LOG_LEVEL",
        service.config.log_level.as_str(),
    ));
    let container = Container {
        args: Some(vec!["migrate".into()]),
        env: Some(env),
        resources: Some(pod::resources(
            &service.pods.of(Component::Migration).resources,
        )),
        volume_mounts: Some(vec![address.mount]),
        ..pod::container(service, "migrate", service.image.as_str())
    };
    let mut spec = pod::spec(
        service,
        Component::Migration,
        vec![container],
        vec![address.volume],
    );
    spec.restart_policy = Some("Never".into());
    spec.termination_grace_period_seconds = Some(10);
    pod::template(service, Component::Migration, None, spec)
}
