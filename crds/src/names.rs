//! Names, labels and annotations that programs beside the operator know, too.

use std::collections::BTreeMap;

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

/// What the keys begin with that a service makes in a bucket, unless it names something else.
#[must_use]
pub fn usual_prefix(namespace: &str, instance: &str) -> String {
    format!("{namespace}/{instance}")
}

/// Part of a service; the value of the component label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The API.
    App,
    /// PostgreSQL.
    Database,
    /// The schema migration.
    Migration,
    /// Scheduled backups.
    Backup,
    /// The steps of a restore. Their pods have the settings of the backups' or of the migrations'.
    Restore,
}

impl Component {
    /// All parts.
    pub const ALL: [Self; 5] = [
        Self::App,
        Self::Database,
        Self::Migration,
        Self::Backup,
        Self::Restore,
    ];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Database => "database",
            Self::Migration => "migration",
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// Whether the part is there for the backups alone: the service serves without it.
    #[must_use]
    pub const fn is_of_backups(self) -> bool {
        match self {
            Self::App | Self::Database | Self::Migration => false,
            Self::Backup | Self::Restore => true,
        }
    }

    /// The part with this value of the label.
    #[must_use]
    pub fn from_value(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == value)
    }

    /// The part that the labels of an object name.
    #[must_use]
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        Self::from_value(labels.get(COMPONENT_LABEL)?)
    }
}
