//! Names, labels and annotations that programs beside the operator know, too.

/// On a HelloService: a new value requests a backup.
pub const BACKUP_REQUEST_ANNOTATION: &str = "hello.internal/backup-requested-at";
/// On a HelloRestore: the former data serves again.
pub const UNDO_ANNOTATION: &str = "hello.internal/undo";
/// On a HelloRestore: the data that does not serve is removed.
pub const DROP_ANNOTATION: &str = "hello.internal/drop-previous";

/// Label with the name of the `HelloService`.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Label with the part of the service.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Label of CloudNativePG on the pods of a `Cluster`; the value is its name.
pub const CNPG_LABEL: &str = "cnpg.io/cluster";

/// Name of the database inside the server.
pub const DATABASE: &str = "hello";
/// Role of the server's own pod, by its socket only; it is the one that a cluster is created with.
pub const SUPERUSER: &str = "postgres";

/// StatefulSet and headless Service of PostgreSQL, or the `Cluster` of CloudNativePG.
#[must_use]
pub fn database(instance: &str) -> String {
    format!("{instance}-db")
}

/// CronJob and volume of the backups.
#[must_use]
pub fn backup(instance: &str) -> String {
    format!("{instance}-backup")
}
