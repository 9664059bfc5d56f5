//! Step 5: what to report, computed from what was applied.

pub mod delay;
pub mod events;
pub mod pod_failure;
pub mod reason;
pub mod volume_fullness;

use hello_crds::{BackupStatus, DatabaseStatus, HelloServiceStatus, MigrationStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::DynamicObject;

use crate::{
    error::{Class, Error},
    kubernetes::optional_apis,
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
        owner::Identity,
    },
    service::{
        apply::Applied,
        plan::{Migration, Presence, cnpg_health::Health, facts},
        report::{reason::Reason, volume_fullness::Volume},
        validate::{Database, Image, Validated},
    },
};

/// Types of conditions.
pub mod condition {
    /// Everything is as the spec says, and serves.
    pub const READY: &str = "Ready";
    /// Something is on its way to what the spec says.
    pub const PROGRESSING: &str = "Progressing";
    /// Something needs a person, or serves less than it should.
    pub const DEGRADED: &str = "Degraded";
    /// The database answers and runs what the spec says.
    pub const DATABASE_READY: &str = "DatabaseReady";
    /// The schema is the one that the wanted image needs.
    pub const MIGRATED: &str = "Migrated";
    /// Children are not changed because spec.paused is set.
    pub const PAUSED: &str = "Paused";

    /// Every type, in the order of the status.
    pub const ALL: [&str; 6] = [
        READY,
        PROGRESSING,
        DEGRADED,
        DATABASE_READY,
        MIGRATED,
        PAUSED,
    ];
}

/// A finding about one part: true or not, why, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    holds: bool,
    reason: Reason,
    message: String,
}

fn yes(reason: Reason, message: impl Into<String>) -> Finding {
    Finding {
        holds: true,
        reason,
        message: message.into(),
    }
}

fn no(reason: Reason, message: impl Into<String>) -> Finding {
    Finding {
        holds: false,
        reason,
        message: message.into(),
    }
}

/// Status after a pass that reached the end.
#[must_use]
pub fn status(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
) -> HelloServiceStatus {
    let identity = &service.identity;
    let database = database(service, applied);
    let migrated = migrated(service, applied);
    let app = app(service, applied);
    let blocked = blocked(applied);
    let ready = match &blocked {
        Some(blocked) => blocked.clone(),
        None if !database.holds => database.clone(),
        None if !migrated.holds => migrated.clone(),
        None if !app.holds => app,
        None if service.paused => no(Reason::Paused, "spec.paused is set"),
        None => yes(Reason::Serving, "everything is as the spec says"),
    };
    let needs_person = ready.reason.needs_person();
    let progressing = if ready.holds || needs_person || service.paused {
        no(ready.reason, ready.message.clone())
    } else {
        yes(ready.reason, ready.message.clone())
    };
    let degraded = if needs_person {
        yes(ready.reason, ready.message.clone())
    } else {
        nearly_full(service, applied, old).unwrap_or_else(|| no(Reason::NoFault, ""))
    };
    let paused = if service.paused {
        yes(
            Reason::Paused,
            "children are not changed while spec.paused is set",
        )
    } else {
        no(Reason::Active, "")
    };
    let findings = [
        (condition::READY, ready),
        (condition::PROGRESSING, progressing),
        (condition::DEGRADED, degraded),
        (condition::DATABASE_READY, database),
        (condition::MIGRATED, migrated),
        (condition::PAUSED, paused),
    ];
    let deployment = applied.get(&ChildId::new(Kind::Deployment, names::app(&identity.name)));
    let running = deployment.and_then(running_image);
    let count = |name: &str| {
        let live = deployment?;
        live.data["status"][name]
            .as_i64()
            .unwrap_or_default()
            .try_into()
            .ok()
    };
    HelloServiceStatus {
        observed_generation: Some(identity.generation),
        conditions: conditions(&findings, identity.generation, old),
        replicas: Some(count("replicas").unwrap_or_default()),
        ready_replicas: Some(count("readyReplicas").unwrap_or_default()),
        selector: Some(names::selector_text(&identity.name, Component::App)),
        endpoint: Some(endpoint(service)),
        version: running.as_deref().map(Image::version_of),
        image: running,
        database: Some(database_status(service, applied)),
        migration: migration_status(applied),
        backup: backup_status(service, applied),
    }
}

/// Status after a pass that an error ended before anything could be said about the parts: what was
/// known of them is kept.
#[must_use]
pub fn failed(
    identity: &Identity,
    error: &Error,
    old: Option<&HelloServiceStatus>,
) -> Option<HelloServiceStatus> {
    let reason = match error.class() {
        // It may be gone in a moment, and the API server is what failed: nothing to report there.
        Class::Transient => return None,
        Class::Invalid => Reason::InvalidSpec,
        Class::Waiting => Reason::ReferenceMissing,
        Class::Conflict => Reason::Conflict,
        Class::Refused => Reason::Refused,
    };
    let finding = no(reason, error.to_string());
    let findings = [
        (condition::READY, finding.clone()),
        (
            condition::DEGRADED,
            Finding {
                holds: true,
                ..finding.clone()
            },
        ),
        (condition::PROGRESSING, finding),
    ];
    let mut status = old.cloned().unwrap_or_default();
    let mut conditions = conditions(&findings, identity.generation, old);
    let kept = status
        .conditions
        .into_iter()
        .filter(|kept| findings.iter().all(|(type_, _)| kept.type_ != *type_));
    conditions.extend(kept);
    status.conditions = conditions;
    status.observed_generation = Some(identity.generation);
    Some(status)
}

/// What makes it useless to wait.
fn blocked(applied: &Applied) -> Option<Finding> {
    if let Some((id, error)) = applied.refused().first() {
        return Some(no(Reason::Refused, format!("{id}: {error}")));
    }
    if let Some(conflict) = applied.plan().conflicts.first() {
        return Some(no(
            Reason::Conflict,
            format!("{conflict} exists and does not belong to this resource; rename or delete it"),
        ));
    }
    if let Some(problem) = applied.unresolved().first() {
        return Some(no(Reason::ReferenceMissing, problem));
    }
    let missing = applied.plan().unavailable.first()?;
    Some(no(Reason::ApiMissing, optional_apis::explain(missing)))
}

fn database(service: &Validated, applied: &Applied) -> Finding {
    match service.database {
        Database::External { .. } => yes(
            Reason::ExternalDatabase,
            "the Secret holds an address; the migration shows whether it answers",
        ),
        Database::Managed { .. } => server(service, applied),
        Database::CloudNativePg { .. } => engine(service, applied),
    }
}

fn engine(service: &Validated, applied: &Applied) -> Finding {
    let id = ChildId::new(Kind::Cluster, names::database(&service.identity.name));
    if applied.plan().unavailable.contains(&id) {
        return no(Reason::ApiMissing, optional_apis::explain(&id));
    }
    let live = match applied.facts().present.get(&id) {
        Some(Presence::Predecessor | Presence::Deleting) => return leaving(),
        Some(Presence::Foreign) => None,
        Some(Presence::Settled | Presence::Drifted) | None => applied.get(&id),
    };
    match live.map(Health::of) {
        None => no(Reason::DatabaseStarting, "the Cluster is not there yet"),
        Some(Health::Serving) if applied.facts().database_ready => {
            yes(Reason::DatabaseServing, "every server is ready")
        }
        Some(Health::Serving) => no(Reason::DatabaseStarting, "the Cluster is being changed"),
        Some(Health::Degraded(said)) => no(Reason::DatabaseDegraded, said),
        Some(Health::Starting(said)) => no(Reason::DatabaseStarting, said),
        Some(Health::Blocked(said)) => no(Reason::DatabaseBlocked, said),
        Some(Health::Hibernated) => no(
            Reason::DatabaseHibernated,
            "the Cluster is hibernated: remove its annotation cnpg.io/hibernation",
        ),
    }
}

fn leaving() -> Finding {
    no(
        Reason::DatabaseLeaving,
        "an earlier server of this name, or its volume, is still being removed",
    )
}

fn server(service: &Validated, applied: &Applied) -> Finding {
    if applied.facts().database_ready {
        return yes(Reason::DatabaseServing, "the server is ready");
    }
    let instance = &service.identity.name;
    if let Some(trouble) = pod_failure::of(applied.pods(), Component::Database) {
        let claim = ChildId::new(Kind::PersistentVolumeClaim, names::data_claim(instance));
        let pending = applied
            .get(&claim)
            .filter(|claim| claim.data["status"]["phase"] == "Pending");
        if let (Some(claim), Reason::Unschedulable) = (pending, trouble.reason) {
            let class = claim.data["spec"]["storageClassName"]
                .as_str()
                .unwrap_or("default");
            let message = format!(
                "claim {} is not bound (storage class {class}): {}",
                names::data_claim(instance),
                trouble.message
            );
            return no(Reason::VolumePending, message);
        }
        return no(trouble.reason, trouble.message);
    }
    let parts = [
        ChildId::new(Kind::StatefulSet, names::database(instance)),
        ChildId::new(Kind::PersistentVolumeClaim, names::data_claim(instance)),
    ];
    if parts
        .iter()
        .any(|part| applied.plan().leaving.contains(part))
    {
        return leaving();
    }
    no(Reason::DatabaseStarting, "the server is not ready yet")
}

/// What is said while the database still serves, in time to do something about it.
fn nearly_full(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
) -> Option<Finding> {
    if !matches!(service.database, Database::Managed { .. }) {
        return None;
    }
    let said = match volume_fullness::of(applied.pods()) {
        Volume::Room => return None,
        Volume::NearlyFull(used) => format!(
            "claim {} is {used} % full: let spec.database.managed.storage.size grow, or delete data",
            names::data_claim(&service.identity.name)
        ),
        // What was known stays, rather than being taken back.
        Volume::Unknown => {
            let mut before = old?.conditions.iter();
            let reason = Reason::VolumeNearlyFull.to_string();
            let told = before.find(|c| c.type_ == condition::DEGRADED && c.reason == reason)?;
            told.message.clone()
        }
    };
    Some(yes(Reason::VolumeNearlyFull, said))
}

fn migrated(service: &Validated, applied: &Applied) -> Finding {
    let image = service.image.as_str();
    let mut refused = applied.refused().iter();
    if let Some((id, error)) = refused.find(|(id, _)| id.kind == Kind::Job) {
        return no(Reason::Refused, format!("{id}: {error}"));
    }
    match applied.plan().migration {
        Migration::Succeeded => yes(
            Reason::MigrationSucceeded,
            format!("the schema fits {image}"),
        ),
        Migration::Failed => {
            let said = pod_failure::of(applied.pods(), Component::Migration)
                .map_or_else(|| "see the Job's events".into(), |trouble| trouble.message);
            let advice =
                "the previous version stays; change the spec, or delete the Job to try again";
            no(Reason::MigrationFailed, format!("{said} ({advice})"))
        }
        Migration::Running => match pod_failure::of(applied.pods(), Component::Migration) {
            Some(trouble) => no(trouble.reason, trouble.message),
            None => no(
                Reason::MigrationRunning,
                format!("the migration of {image} runs"),
            ),
        },
        Migration::Pending if applied.facts().jobs.is_empty() && !applied.facts().migrating => no(
            Reason::MigrationWaiting,
            "the migration waits for the database",
        ),
        Migration::Pending => no(
            Reason::MigrationReplacing,
            "the migration waits until the earlier Job and its pods are gone",
        ),
    }
}

fn app(service: &Validated, applied: &Applied) -> Finding {
    let id = ChildId::new(Kind::Deployment, names::app(&service.identity.name));
    let Some(live) = applied.get(&id) else {
        return no(
            Reason::RolloutWaiting,
            "the application is not deployed yet",
        );
    };
    if facts::rolled_out(live) {
        return yes(Reason::RolledOut, "every replica runs the wanted version");
    }
    if let Some(trouble) = pod_failure::of(applied.pods(), Component::App) {
        return no(trouble.reason, trouble.message);
    }
    let stuck = live.data["status"]["conditions"]
        .as_array()
        .and_then(|conditions| {
            conditions.iter().find(|condition| {
                (condition["type"] == "ReplicaFailure" && condition["status"] == "True")
                    || condition["reason"] == "ProgressDeadlineExceeded"
            })
        });
    match stuck {
        Some(condition) => no(
            Reason::RolloutStuck,
            condition["message"].as_str().unwrap_or_default(),
        ),
        None => no(
            Reason::RollingOut,
            "not every replica runs the wanted version yet",
        ),
    }
}

/// Conditions in their fixed order; the time of one changes only with its status.
fn conditions(
    findings: &[(&str, Finding)],
    generation: i64,
    old: Option<&HelloServiceStatus>,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|(type_, finding)| {
            let status = if finding.holds { "True" } else { "False" };
            let before = old
                .and_then(|old| old.conditions.iter().find(|c| c.type_ == *type_))
                .filter(|before| before.status == status);
            Condition {
                type_: (*type_).into(),
                status: status.into(),
                reason: finding.reason.to_string(),
                message: finding.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: before.map_or_else(now, |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}

fn now() -> Time {
    Time(jiff::Timestamp::now())
}

fn running_image(deployment: &DynamicObject) -> Option<String> {
    let containers = deployment.data["spec"]["template"]["spec"]["containers"].as_array()?;
    let app = containers
        .iter()
        .find(|container| container["name"] == "app")?;
    app["image"].as_str().map(str::to_owned)
}

fn endpoint(service: &Validated) -> String {
    let identity = &service.identity;
    let host = format!("{}.{}.svc", names::app(&identity.name), identity.namespace);
    let (scheme, usual) = match service.tls {
        Some(_) => ("https", 443),
        None => ("http", 80),
    };
    match service.expose.service.port {
        port if port == usual => format!("{scheme}://{host}"),
        port => format!("{scheme}://{host}:{port}"),
    }
}

fn database_status(service: &Validated, applied: &Applied) -> DatabaseStatus {
    match &service.database {
        Database::Managed { .. } => DatabaseStatus {
            kind: "managed".into(),
            volume_claim: Some(names::data_claim(&service.identity.name)),
            ..DatabaseStatus::default()
        },
        Database::External { .. } => DatabaseStatus {
            kind: "external".into(),
            ..DatabaseStatus::default()
        },
        Database::CloudNativePg { .. } => {
            let id = ChildId::new(Kind::Cluster, names::database(&service.identity.name));
            let status = applied.get(&id).map(|live| &live.data["status"]);
            DatabaseStatus {
                kind: "cloudNativePG".into(),
                volume_claim: None,
                ready_instances: status
                    .and_then(|status| status["readyInstances"].as_i64())
                    .and_then(|count| count.try_into().ok()),
                primary: status
                    .and_then(|status| status["currentPrimary"].as_str())
                    .map(str::to_owned),
            }
        }
    }
}

fn migration_status(applied: &Applied) -> Option<MigrationStatus> {
    let job = applied.wanted().iter().find(|id| id.kind == Kind::Job)?;
    let phase = match applied.plan().migration {
        Migration::Pending => "Pending",
        Migration::Running => "Running",
        Migration::Failed => "Failed",
        Migration::Succeeded => "Succeeded",
    };
    Some(MigrationStatus {
        job: job.name.clone(),
        phase: phase.into(),
    })
}

fn backup_status(service: &Validated, applied: &Applied) -> Option<BackupStatus> {
    service.backup.as_ref()?;
    let id = ChildId::new(Kind::CronJob, names::backup(&service.identity.name));
    let time = |name: &str| {
        let live = applied.get(&id)?;
        live.data["status"][name].as_str().map(str::to_owned)
    };
    Some(BackupStatus {
        last_schedule_time: time("lastScheduleTime"),
        last_success_time: time("lastSuccessfulTime"),
    })
}

/// Whether a status shows a service that serves.
#[must_use]
pub fn is_ready(status: &HelloServiceStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == condition::READY && condition.status == "True")
}
