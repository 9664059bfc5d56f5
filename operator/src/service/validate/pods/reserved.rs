//! What the operator's pods need, so that no setting may replace it.

use hello_crds::{PodSettings, PodVolume};

use crate::{
    error::{Error, Result},
    object::names::Component,
    service::validate::names::object_name,
};

/// Beginnings of labels and annotations that the operator and Kubernetes' controllers set.
const KEYS: [&str; 6] = [
    "app.kubernetes.io/",
    "hello.internal/",
    "batch.kubernetes.io/",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "cnpg.io/",
];
/// Other such labels and annotations.
const SINGLE_KEYS: [&str; 6] = [
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/restartedAt",
];
/// Beginnings of variables that the operator sets or that would change what its own mean.
const VARIABLES: [&str; 4] = ["DATABASE_URL", "HELLO_", "PG", "POSTGRES_"];
/// The variable with the port of the application.
const PORT: &str = "PORT";
/// Options of the application that have no field in the spec.
const OPTIONS: [&str; 14] = [
    "HELLO_ANSWER_TIMEOUT",
    "HELLO_BODY_TIMEOUT",
    "HELLO_CHANGE_CONNECTIONS",
    "HELLO_CORS_ORIGIN",
    "HELLO_DATABASE_DEADLINE",
    "HELLO_HEADER_TIMEOUT",
    "HELLO_IDLE_TIMEOUT",
    "HELLO_MAX_CONNECTIONS",
    "HELLO_MAX_CONNECTIONS_PER_CLIENT",
    "HELLO_QUERY_CONNECTIONS",
    "HELLO_READ_CONNECTIONS",
    "HELLO_REQUEST_ID",
    "HELLO_THREADS",
    "HELLO_WRITE_CONNECTIONS",
];
/// The volume by which programs get from one container of a pod into another.
pub const TOOLS: &str = "tools";
/// Names of the operator's own volumes.
pub const VOLUMES: [&str; 12] = [
    "backups",
    "credentials",
    "data",
    "database",
    "issuer",
    "proof",
    "run",
    "shm",
    "store",
    "tls",
    "tmp",
    TOOLS,
];
/// Paths that every part's container needs.
const PATHS: [&str; 4] = ["/etc/hello", "/dev", "/proc", "/sys"];
/// Paths that the containers with PostgreSQL's programs need, too.
const POSTGRES_PATHS: [&str; 6] = [
    "/backups",
    "/scratch",
    "/tmp",
    "/tools",
    "/var/lib/postgresql",
    "/var/run/postgresql",
];

/// Checks that the settings in `field` replace nothing that the pods of `part` need, and that every name is one.
pub fn check(field: &str, part: Component, settings: &PodSettings) -> Result<()> {
    let taken = |what: &str, name: &str| {
        let problem = format!("{name:?} is the operator's or Kubernetes' own: use another one");
        Err(Error::invalid(&format!("{field}.{what}"), problem))
    };
    for (what, map) in [
        ("labels", &settings.labels),
        ("annotations", &settings.annotations),
    ] {
        if let Some(key) = map.keys().find(|key| is_key(key)) {
            return taken(what, key);
        }
    }
    let account = settings.service_account.as_ref();
    let mut keys = account
        .iter()
        .flat_map(|account| account.annotations.keys());
    if let Some(key) = keys.find(|key| is_key(key)) {
        return taken("serviceAccount.annotations", key);
    }
    if let Some(variable) = settings.env.iter().find(|one| is_variable(&one.name)) {
        return taken("env", &variable.name);
    }
    for volume in &settings.volumes {
        if VOLUMES.contains(&&*volume.name) {
            return taken("volumes", &volume.name);
        }
        check_source(field, volume)?;
    }
    let path = |path: &&str| is_path(part, path);
    let mut mounts = settings.volume_mounts.iter().map(|one| &*one.mount_path);
    if let Some(path) = mounts.find(path) {
        return taken("volumeMounts", path);
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    SINGLE_KEYS.contains(&key) || KEYS.iter().any(|start| key.starts_with(start))
}

fn is_variable(name: &str) -> bool {
    name == PORT
        || !OPTIONS.contains(&name) && VARIABLES.iter().any(|start| name.starts_with(start))
}

/// Whether a mount at `path` hides one of the operator's, or is inside of one.
fn is_path(part: Component, path: &str) -> bool {
    let more: &[&str] = match part {
        Component::Database | Component::Backup | Component::Restore => &POSTGRES_PATHS,
        Component::App | Component::Migration => &[],
    };
    let parts = |path: &str| -> Vec<String> {
        let parts = path.split('/');
        parts
            .filter(|part| !matches!(*part, "" | "."))
            .map(str::to_owned)
            .collect()
    };
    let given = parts(path);
    // A path that goes up may lead anywhere.
    given.iter().any(|part| part == "..")
        || PATHS.iter().chain(more).any(|own| {
            let own = parts(own);
            own.starts_with(&given) || given.starts_with(&own)
        })
}

fn check_source(field: &str, volume: &PodVolume) -> Result<()> {
    let claim = volume.persistent_volume_claim.as_ref();
    let names = [
        volume.config_map.as_ref().map(|map| &*map.name),
        volume
            .secret
            .as_ref()
            .map(|secret| secret.secret_name.as_deref().unwrap_or_default()),
        claim.map(|claim| &*claim.claim_name),
    ];
    let field = format!("{field}.volumes");
    let sources = names.iter().flatten().count()
        + usize::from(volume.empty_dir.is_some())
        + usize::from(volume.csi.is_some());
    if sources != 1 {
        let problem = format!("{:?} needs exactly one source", volume.name);
        return Err(Error::invalid(&field, problem));
    }
    names
        .into_iter()
        .flatten()
        .try_for_each(|name| object_name(&field, name).map(|_| ()))
}
