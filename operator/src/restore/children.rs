//! Step 3: builds the Job of a step, and what it needs beside it. Pure: the same input gives the same bytes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, PodTemplateSpec},
        networking::v1::{NetworkPolicy, NetworkPolicySpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::Resource;
use serde::Serialize;

use crate::{
    error::{Error, Result},
    object::{
        child::{self, Desired},
        kind::{Gate, Kind},
        names::{self, Component},
        owner,
        restore_result::CONTAINER,
    },
    restore::{plan::step::Step, validate::Order},
    service::{
        children::{
            backup::{self, RESULT_FILE, SCRATCH},
            database, job, migration, network, pod,
        },
        dereference::inputs::Inputs,
        validate::{Backup, Validated},
    },
};

/// Name of the volume with what opens an encrypted backup, its folder and its file.
const IDENTITY: &str = "identity";
const IDENTITY_DIRECTORY: &str = "/etc/hello/identity";
const IDENTITY_FILE: &str = "identity";

/// Name of the Job of a step: that of another restore is another one, also under the same name.
#[must_use]
pub fn name(order: &Order, step: Step) -> String {
    let input = format!("{}\n{step:?}", order.identity.uid);
    let hash = child::hash(&input);
    names::restore_step(&order.identity.name, step.as_str(), &hash[..10])
}

/// The Job of a step; `None` when the service has no backups that it could stage.
///
/// # Errors
/// When the object does not serialize, which is a defect.
pub fn job(
    order: &Order,
    step: Step,
    service: &Validated,
    inputs: &Inputs,
) -> Result<Option<Desired>> {
    let spec = match (step, &service.backup) {
        (Step::Stage, None) => return Ok(None),
        (Step::Stage, Some(backup)) => staging(order, service, inputs, backup),
        _ => in_database(order, step, service, inputs),
    };
    let job = Job {
        metadata: metadata(order, name(order, step), service),
        spec: Some(spec),
        status: None,
    };
    desired(Kind::Job, &job).map(Some)
}

/// What the pods of a restore may reach that reads another service's backup: the database, and the bucket where that is in
/// one. The policies of the service do not know of it, and there is none for its restores when it makes no backups. `None`
/// when it names no other place, or when nothing is closed.
///
/// # Errors
/// When the object does not serialize, which is a defect.
pub fn policy(order: &Order, service: &Validated, inputs: &Inputs) -> Result<Option<Desired>> {
    let (Some(Ok(source)), true) = (&order.source, service.isolate) else {
        return Ok(None);
    };
    let database = database::from_service(service, inputs);
    let mut egress = network::to_database(service, &*database, &inputs.direct_ports);
    egress.extend(source.bucket().into_iter().flat_map(network::to_store));
    let hash = child::hash(&order.identity.uid);
    let name = names::restore_policy(&order.identity.name, &hash[..10]);
    let policy = NetworkPolicy {
        metadata: metadata(order, name, service),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(labels(order, service)),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: None,
            egress: Some(egress),
        }),
    };
    desired(Kind::NetworkPolicy, &policy).map(Some)
}

fn desired<K>(kind: Kind, object: &K) -> Result<Desired>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    Desired::new(kind, Gate::Always, object).map_err(|source| Error::Json {
        what: kind.to_string(),
        source,
    })
}

fn metadata(order: &Order, name: String, service: &Validated) -> ObjectMeta {
    let identity = &order.identity;
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.clone()),
        labels: Some(labels(order, service)),
        owner_references: Some(vec![owner::reference(
            hello_crds::API_VERSION,
            hello_crds::RESTORE_KIND,
            &identity.name,
            &identity.uid,
        )]),
        ..ObjectMeta::default()
    }
}

/// Labels of a Job, of its pods and of what it needs.
fn labels(order: &Order, service: &Validated) -> BTreeMap<String, String> {
    let mut labels = names::labels(&service.identity.name, Component::Restore);
    labels.insert(names::RESTORE_LABEL.into(), order.identity.name.clone());
    labels
}

/// Like a backup's, but for the owner's role: it makes tables.
fn staging(order: &Order, service: &Validated, inputs: &Inputs, backup: &Backup) -> JobSpec {
    let database = database::from_service(service, inputs);
    let mut address = database.address(Component::Restore);
    address.variables.extend(database.migration_variables());
    let mut arguments = arguments(order, Step::Stage);
    arguments.extend(backup::destination(service, backup));
    let mut option = |name: &str, value: &str| arguments.extend([name.into(), value.into()]);
    option("--backup", &order.backup);
    option("--scratch", SCRATCH);
    if order.opened_with.is_some() {
        let path = format!("{IDENTITY_DIRECTORY}/{IDENTITY_FILE}");
        option("--identity-file", &path);
    }
    let volume = address.volume.clone();
    let mut container = backup::proving(service, backup, CONTAINER, &arguments, address, true);
    if order.opened_with.is_some() {
        let mount = pod::mount(IDENTITY, IDENTITY_DIRECTORY, true);
        container.volume_mounts.get_or_insert_default().push(mount);
    }
    let mut spec = backup::proving_pod(service, backup, container, volume);
    if let Some((secret, key)) = &order.opened_with {
        let items = [(key.as_str(), IDENTITY_FILE)];
        let volume = pod::secret_volume(IDENTITY, secret.as_str(), &items);
        spec.volumes.get_or_insert_default().push(volume);
    }
    let template = pod::template(service, Component::Backup, None, spec);
    job_spec(order, service, template, Backup::DEADLINE.as_secs())
}

/// Like a migration's: what it needs is in the database.
fn in_database(order: &Order, step: Step, service: &Validated, inputs: &Inputs) -> JobSpec {
    let database = database::from_service(service, inputs);
    let mut address = database.address(Component::Restore);
    let level = service.config.log_level.as_str();
    address.variables.extend(database.migration_variables());
    address.variables.push(pod::env("HELLO_LOG_LEVEL", level));
    let container = Container {
        args: Some(arguments(order, step)),
        env: Some(address.variables),
        resources: Some(pod::resources(
            &service.pods.of(Component::Migration).resources,
        )),
        volume_mounts: Some(vec![address.mount]),
        ..pod::container(service, CONTAINER, service.image.as_str())
    };
    let (part, volumes) = (Component::Migration, vec![address.volume]);
    let mut spec = pod::spec(service, part, vec![container], volumes);
    spec.restart_policy = Some("Never".into());
    spec.termination_grace_period_seconds = Some(10);
    let template = pod::template(service, part, None, spec);
    job_spec(order, service, template, migration::DEADLINE)
}

fn arguments(order: &Order, step: Step) -> Vec<String> {
    let command = match step {
        Step::Stage => "stage",
        Step::Swap(_) => "swap",
        Step::Undo(_) => "undo",
        Step::Drop => "drop-previous",
        Step::Discard => "discard",
    };
    let id = &order.identity.uid;
    let arguments = ["restore", command, "--id", id, "--result-file", RESULT_FILE];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    if step.accepts_loss() {
        arguments.push("--accept-data-loss".into());
    }
    arguments
}

fn job_spec(
    order: &Order,
    service: &Validated,
    mut template: PodTemplateSpec,
    deadline: i64,
) -> JobSpec {
    // Its pods have the settings of another part, and are none of it.
    let metadata = template.metadata.get_or_insert_default();
    let all = metadata.labels.get_or_insert_default();
    all.extend(labels(order, service));
    JobSpec {
        backoff_limit: Some(migration::RETRIES),
        pod_failure_policy: Some(job::failure_policy(CONTAINER)),
        active_deadline_seconds: Some(deadline),
        template,
        ..JobSpec::default()
    }
}
