//! The migration Job. Its name has a hash of its inputs: the same inputs never run twice, and other inputs are another
//! Job.

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, PodTemplateSpec},
};

use super::{
    database::{address, kind::DatabaseKind},
    job,
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

/// Longest time a migration may take, in seconds, its attempts and the pauses between them included.
pub(crate) const DEADLINE: i64 = 3600;
/// Attempts after the first, when it failed for a reason that may pass. The Job's controller pauses for 10, 20 and 40
/// seconds before them, and would pause for longer and longer before further ones: instead, another Job follows.
pub(crate) const RETRIES: i32 = 3;
/// Name of the container.
pub const CONTAINER: &str = "migrate";
/// Exit code of `hello-app migrate` when the database was not reached, or did not stay.
pub const EXIT_UNAVAILABLE: i32 = 69;
/// Where the kubelet reads what a container says about its end.
const REPORT_FILE: &str = "/dev/termination-log";

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
            backoff_limit: Some(RETRIES),
            pod_failure_policy: Some(job::failure_policy(CONTAINER)),
            active_deadline_seconds: Some(DEADLINE),
            template: template(service, database),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Hash of everything that asks for another migration. The name is public, and the address may hold a password that a
/// person chose: with the resource's UID in it, nobody can compare it with hashes that were computed beforehand.
fn input_hash(service: &Validated, inputs: &Inputs, identity: &str) -> String {
    let roles = if service.database.has_roles() {
        inputs.credentials.roles_fingerprint()
    } else {
        String::new()
    };
    // A pod that never starts, such as for want of a toleration, is replaced when its settings are corrected.
    let pods = &service.pods.of(Component::Migration).fingerprint;
    child::hash(&format!(
        "{}\n{}\n{identity}\n{roles}{pods}",
        service.identity.uid,
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
    env.push(pod::env("HELLO_REPORT_FILE", REPORT_FILE));
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
        ..pod::container(service, CONTAINER, service.image.as_str())
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
