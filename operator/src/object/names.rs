//! The one home of every name, label and annotation the operator uses. Those that other programs use as well come from
//! the crate of the resources.

use std::collections::BTreeMap;

use crate::object::data_version::DataVersion;

pub use hello_crds::names::*;

/// Field manager of everything the operator applies except replicas. Never rename: fields would be orphaned.
pub const MANAGER: &str = "hello-operator";
/// Field manager of `spec.replicas` alone, so that leaving the count to an autoscaler never removes it.
pub const SCALE_MANAGER: &str = "hello-operator-scale";
/// Field manager of a HelloRestore that a service makes: [`MANAGER`] applies nothing but the finalizer of any HelloRestore,
/// and would take the rest away.
pub const BOOTSTRAP_MANAGER: &str = "hello-operator-bootstrap";
/// Field manager of the status.
pub const STATUS_MANAGER: &str = "hello-operator-status";

/// Hash of the object that the operator last applied.
pub const HASH_ANNOTATION: &str = "hello.internal/desired-hash";
/// On an object that outlives its resource; the value is the resource's name.
pub const RETAINED_ANNOTATION: &str = "hello.internal/retained-for";
/// On a pod template: fingerprint of the credentials that its pods read when they start.
pub const CREDENTIALS_ANNOTATION: &str = "hello.internal/credentials";
/// On a Deployment: the migration that came before its template.
pub const MIGRATION_ANNOTATION: &str = "hello.internal/migration";
/// On a resource: a new value requests new passwords. On the credentials: the value of the last request that was fulfilled.
pub const ROTATE_ANNOTATION: &str = "hello.internal/rotate-credentials";
/// On the credentials: when the passwords were last replaced.
pub const ROTATED_ANNOTATION: &str = "hello.internal/credentials-rotated-at";
/// On a resource: UID of the claim or Cluster that is accepted in place of the one with the service's data.
pub const ACCEPT_DATA_ANNOTATION: &str = "hello.internal/accept-new-data";
/// Value of [`UNDO_ANNOTATION`] that accepts the loss of what was written since the swap.
pub const UNDO_WITH_LOSS: &str = "accept-data-loss";
/// On a HelloRestore whose staged data has to be removed before it is gone.
pub const RESTORE_FINALIZER: &str = "hello.internal/staged-data";
/// On a HelloService whose deletion waits for a last backup.
pub const SNAPSHOT_FINALIZER: &str = "hello.internal/snapshot";
/// On a claim into which a backup is restored: whether the data there is complete.
pub const DATA_ANNOTATION: &str = "hello.internal/data";
/// Value of [`DATA_ANNOTATION`] from the creation of the claim on.
pub const INCOMPLETE: &str = "incomplete";
/// Value of [`DATA_ANNOTATION`] once the data was compared.
pub const COMPLETE: &str = "complete";
/// On the Job of the last backup: the value of the annotation that requested another try of it.
pub const ORDER_ANNOTATION: &str = "hello.internal/requested-by";
/// On the Jobs and pods of a restore: name of the HelloRestore.
pub const RESTORE_LABEL: &str = "hello.internal/restore";
/// On a Job that was made of a CronJob at a person's request, as `kubectl create job --from` sets it.
pub const BY_HAND_ANNOTATION: &str = "cronjob.kubernetes.io/instantiate";
/// Container that `kubectl logs` and `kubectl exec` use when none is named.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// End of that label's value on an object without an owner. Argo CD takes such an object for one of the application that
/// the label names, and deletes it because no manifest has it. No application can have a name with two underscores.
const WITHOUT_OWNER: &str = "__hello-operator";
/// Label that selects everything the operator creates.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Role that owns the schema; only migrations use it.
pub const OWNER_ROLE: &str = "hello_owner";
/// Role of the application.
pub const APP_ROLE: &str = "hello_app";
/// Role of the backups.
pub const BACKUP_ROLE: &str = "hello_backup";

/// Keys of the credentials Secret.
pub mod key {
    /// Password of the owner.
    pub const OWNER_PASSWORD: &str = "owner-password";
    /// Password of the application's role.
    pub const APP_PASSWORD: &str = "app-password";
    /// Password of the backup role.
    pub const BACKUP_PASSWORD: &str = "backup-password";
    /// URI for the owner.
    pub const OWNER_URI: &str = "owner-uri";
    /// URI for the application.
    pub const APP_URI: &str = "app-uri";
    /// URI for the application while the server does not know the newest password yet.
    pub const PREVIOUS_APP_URI: &str = "previous-app-uri";
    /// Password of the application's role before the last rotation.
    pub const PREVIOUS_APP_PASSWORD: &str = "previous-app-password";
    /// Password of the backup role before the last rotation.
    pub const PREVIOUS_BACKUP_PASSWORD: &str = "previous-backup-password";
    /// URI for backups.
    pub const BACKUP_URI: &str = "backup-uri";
}

/// Labels of an object that belongs to one part of the service `instance`.
#[must_use]
pub fn labels(instance: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector(instance, component);
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    labels.insert("app.kubernetes.io/part-of".into(), "hello".into());
    labels
}

/// Labels of an object of the service `instance` that outlives the resource, and so has no owner.
#[must_use]
pub fn labels_without_owner(instance: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = labels(instance, component);
    let instance = format!("{instance}{WITHOUT_OWNER}");
    labels.insert(INSTANCE_LABEL.into(), instance);
    labels
}

/// The service that the labels of an object name.
#[must_use]
pub fn instance_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(INSTANCE_LABEL).map(|value| named_by(value))
}

/// The service that a value of the label [`INSTANCE_LABEL`] names.
#[must_use]
pub fn named_by(value: &str) -> &str {
    value.strip_suffix(WITHOUT_OWNER).unwrap_or(value)
}

/// Labels that select the pods of one part; immutable in a workload, so never add to them.
#[must_use]
pub fn selector(instance: &str, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".into(), "hello".into()),
        (INSTANCE_LABEL.into(), instance.into()),
        (COMPONENT_LABEL.into(), component.as_str().into()),
    ])
}

/// Selects every object of every service.
#[must_use]
pub fn managed_selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER}")
}

/// Selects every object of one service.
#[must_use]
pub fn instance_selector(instance: &str) -> String {
    format!(
        "{MANAGED_BY_LABEL}={MANAGER},{INSTANCE_LABEL} in ({instance},{instance}{WITHOUT_OWNER})"
    )
}

/// A selector in the form that the scale subresource reports.
#[must_use]
pub fn selector_text(instance: &str, component: Component) -> String {
    let pairs: Vec<String> = selector(instance, component)
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// Secret with passwords and URIs.
#[must_use]
pub fn credentials(instance: &str) -> String {
    format!("{instance}-credentials")
}

/// Secret with the authority that signs the managed database's certificates.
#[must_use]
pub fn authority(instance: &str) -> String {
    format!("{instance}-ca")
}

/// Secret with the managed database's certificate, and the authorities that its clients trust.
#[must_use]
pub fn server_tls(instance: &str) -> String {
    format!("{}-tls", database(instance))
}

/// Host names of the managed database; the operator's own clients use the first.
#[must_use]
pub fn database_hosts(instance: &str, namespace: &str) -> Vec<String> {
    let host = database(instance);
    vec![
        host.clone(),
        format!("{host}.{namespace}"),
        format!("{host}.{namespace}.svc"),
        format!("{host}.{namespace}.svc.cluster.local"),
    ]
}

/// Service of CloudNativePG in front of the primary.
#[must_use]
pub fn cnpg_service(instance: &str) -> String {
    format!("{}-rw", database(instance))
}

/// Secret of CloudNativePG with the owner's addresses.
#[must_use]
pub fn cnpg_secret(instance: &str) -> String {
    format!("{}-app", database(instance))
}

/// Secret of CloudNativePG with the authority of the servers' certificates.
#[must_use]
pub fn cnpg_authority(instance: &str) -> String {
    format!("{}-ca", database(instance))
}

/// Claim of a version of the data of the managed database: the StatefulSet creates it for its only pod.
#[must_use]
pub fn data_claim(instance: &str, version: &DataVersion) -> String {
    version.claim(&database(instance))
}

/// Migration Job for a hash of its inputs.
#[must_use]
pub fn migration(instance: &str, hash: &str) -> String {
    format!("{instance}-migrate-{hash}")
}

/// Whether an annotation or label is one of the operator's.
#[must_use]
pub fn is_own_annotation(key: &str) -> bool {
    key.starts_with("hello.internal/")
}

/// Account of the pods. It is not the service's own name: a service `default` would use the namespace's own account.
#[must_use]
pub fn service_account(instance: &str) -> String {
    format!("{instance}-app")
}

/// Deployment, Service, autoscaler, disruption budget, Ingress, HTTPRoute and ServiceMonitor.
#[must_use]
pub fn app(instance: &str) -> String {
    instance.into()
}

/// ServiceAccount of the pods of one part, where it is not the one that parts share.
#[must_use]
pub fn part_account(instance: &str, part: Component) -> String {
    format!("{instance}-{}-pods", part.as_str())
}

/// Secret with the address of an external database, where it is made of parts.
#[must_use]
pub fn external_address(instance: &str) -> String {
    format!("{instance}-address")
}

/// Job of a backup that was requested by the annotation [`BACKUP_REQUEST_ANNOTATION`], for a hash of its value.
#[must_use]
pub fn requested_backup(instance: &str, hash: &str) -> String {
    format!("{}-now-{hash}", backup(instance))
}

/// Job of the backup before a deletion or a change of the data's version, for a hash of the state in which the application
/// was stopped.
#[must_use]
pub fn last_backup(instance: &str, hash: &str) -> String {
    format!("{}-last-{hash}", backup(instance))
}

/// Job of one step of the restore `restore`, for a hash of its UID and of the step.
#[must_use]
pub fn restore_step(restore: &str, step: &str, hash: &str) -> String {
    format!("{restore}-{step}-{hash}")
}

/// HelloRestore that brings the first data of the service `instance`, for a hash of that name: the name of a HelloRestore
/// is no longer than that of a service.
#[must_use]
pub fn bootstrap(instance: &str, hash: &str) -> String {
    const END: &str = "-bootstrap";
    let name = format!("{instance}{END}");
    match name.len() <= LONGEST {
        true => name,
        false => shortened(instance, &format!("-{hash}{END}")),
    }
}

/// HelloRestore that brings the data of the service `instance` into a new volume, for a hash of the change.
#[must_use]
pub fn upgrade(instance: &str, hash: &str) -> String {
    shortened(instance, &format!("-{hash}-upgrade"))
}

/// Longest name of a HelloRestore.
const LONGEST: usize = 40;

fn shortened(instance: &str, end: &str) -> String {
    let start: String = instance.chars().take(LONGEST - end.len()).collect();
    format!("{start}{end}")
}

/// NetworkPolicy of the pods of the restore `restore`, for a hash of its UID.
#[must_use]
pub fn restore_policy(restore: &str, hash: &str) -> String {
    format!("{restore}-source-{hash}")
}

/// NetworkPolicy of one part.
#[must_use]
pub fn network_policy(instance: &str, component: Component) -> String {
    format!("{instance}-{}", component.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_have_the_form_of_the_api_server() {
        assert_eq!(
            managed_selector(),
            "app.kubernetes.io/managed-by=hello-operator"
        );
        assert_eq!(
            instance_selector("demo"),
            "app.kubernetes.io/managed-by=hello-operator,app.kubernetes.io/instance in (demo,demo__hello-operator)"
        );
        assert_eq!(
            selector_text("demo", Component::App),
            "app.kubernetes.io/component=app,app.kubernetes.io/instance=demo,app.kubernetes.io/name=hello"
        );
    }

    #[test]
    fn a_service_is_read_from_the_labels_of_its_objects() {
        let (owned, without) = (
            labels("demo", Component::App),
            labels_without_owner("demo", Component::App),
        );
        assert_ne!(owned[INSTANCE_LABEL], without[INSTANCE_LABEL]);
        for labels in [owned, without] {
            assert_eq!(instance_of(&labels), Some("demo"));
        }
        assert_eq!(instance_of(&BTreeMap::new()), None);
    }

    #[test]
    fn a_component_is_read_from_the_labels_that_it_gives() {
        for component in Component::ALL {
            assert_eq!(
                Component::from_labels(&labels("demo", component)),
                Some(component)
            );
        }
        assert_eq!(Component::from_labels(&BTreeMap::new()), None);
    }

    #[test]
    fn the_restore_of_a_service_has_a_name_that_fits() {
        assert_eq!(bootstrap("demo", "0123456789"), "demo-bootstrap");
        let name = |length: usize, hash: &str| bootstrap(&"a".repeat(length), hash);
        assert_eq!(name(30, "0123456789").len(), 40);
        assert!(!name(30, "0123456789").contains("0123456789"));
        for length in [31, 40] {
            let long = name(length, "0123456789");
            assert_eq!(long.len(), 40, "{long}");
            assert!(long.ends_with("a-0123456789-bootstrap"), "{long}");
            assert_ne!(long, name(length, "1123456789"));
        }
    }

    #[test]
    fn each_version_of_the_data_has_a_claim() {
        let claim =
            |version: Option<&str>| data_claim("demo", &DataVersion(version.map(str::to_owned)));
        assert_eq!(claim(None), "data-demo-db-0");
        assert_eq!(claim(Some("18")), "data-18-demo-db-0");
        let long = upgrade(&"a".repeat(40), "0123456789");
        assert_eq!(long.len(), 40);
        assert!(long.ends_with("a-0123456789-upgrade"), "{long}");
        assert_eq!(upgrade("demo", "01"), "demo-01-upgrade");
    }

    #[test]
    fn the_database_has_a_host_name_for_every_search_domain() {
        assert_eq!(
            database_hosts("demo", "ns"),
            [
                "demo-db",
                "demo-db.ns",
                "demo-db.ns.svc",
                "demo-db.ns.svc.cluster.local"
            ]
        );
    }
}
