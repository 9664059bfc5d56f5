//! The backup that a new service starts from.

use hello_crds::{BootstrapPhase, BootstrapStatus, Database, RestoreSource, UpgradeStatus};

use crate::object::{
    child::{self, ChildId},
    kind::Kind,
    names,
    owner::Identity,
};

/// The backup that a new service starts from, unless the status says that this is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// The field that asks for it.
    pub field: &'static str,
    /// The backup.
    pub source: RestoreSource,
    /// Name of the HelloRestore that brings it.
    pub restore: String,
    /// Whether the status knows of it. It does from the first pass on, before there is anything that could be lost.
    pub has_begun: bool,
    /// Whether the data of the service comes into a new volume: it has served, and the Deployment is there.
    pub is_upgrade: bool,
}

impl Bootstrap {
    pub(super) fn parse(
        identity: &Identity,
        spec: &Database,
        known: Option<&BootstrapStatus>,
    ) -> Option<Self> {
        let managed = spec.managed.as_ref().map(|managed| &managed.bootstrap);
        let cluster = spec.cloud_native_pg.as_ref();
        let cluster = cluster.map(|cluster| &cluster.bootstrap);
        let (field, wanted) = match (managed, cluster) {
            (Some(wanted), _) => ("spec.database.managed.bootstrap", wanted),
            (_, Some(wanted)) => ("spec.database.cloudNativePG.bootstrap", wanted),
            (None, None) => return None,
        };
        if known.is_some_and(is_over) {
            return None;
        }
        Some(Self {
            field,
            source: wanted.as_ref()?.from_backup.clone(),
            restore: names::bootstrap(&identity.name, &child::hash(&identity.name)[..10]),
            has_begun: known.is_some(),
            is_upgrade: false,
        })
    }

    /// The backup that a change of the data's version brings into the new volume. `None` when that volume has its data.
    pub(super) fn of_upgrade(upgrade: &UpgradeStatus) -> Option<Self> {
        Some(Self {
            field: "spec.database.managed.dataVersion",
            source: RestoreSource {
                backup: upgrade.backup.clone()?,
                destination: None,
                identity_secret_ref: None,
            },
            restore: upgrade.restore.clone()?,
            has_begun: true,
            is_upgrade: true,
        })
    }

    /// What decides about it, beside the status. It is looked up by name: labels may be gone, and a watch may be late.
    #[must_use]
    pub fn decided_by(&self, instance: &str) -> [ChildId; 2] {
        [
            ChildId::new(Kind::HelloRestore, &self.restore),
            ChildId::new(Kind::Deployment, names::app(instance)),
        ]
    }
}

/// Whether nothing is restored any more, whatever the spec says.
#[must_use]
pub const fn is_over(known: &BootstrapStatus) -> bool {
    match known.phase {
        BootstrapPhase::Restoring => false,
        BootstrapPhase::Completed | BootstrapPhase::NotNeeded => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(database: &Value, known: Value) -> Option<Bootstrap> {
        let known: Option<BootstrapStatus> = serde_json::from_value(known).unwrap();
        let identity = Identity {
            namespace: "team".into(),
            name: "demo".into(),
            uid: String::new(),
            generation: 1,
        };
        let database = serde_json::from_value(database.clone()).unwrap();
        Bootstrap::parse(&identity, &database, known.as_ref())
    }

    #[test]
    fn it_is_read_of_each_kind_until_the_status_says_that_it_is_over() {
        let bootstrap = json!({"fromBackup": {"backup": "latest"}});
        let secret = json!({"secretRef": {"name": "a"}});
        for (database, field) in [
            (
                json!({"managed": {"bootstrap": bootstrap}}),
                Some("spec.database.managed.bootstrap"),
            ),
            (
                json!({"cloudNativePG": {"bootstrap": bootstrap}}),
                Some("spec.database.cloudNativePG.bootstrap"),
            ),
            (json!({"managed": {}}), None),
            (json!({"external": secret}), None),
        ] {
            let known = |phase: &str| json!({"phase": phase, "restore": "demo-bootstrap"});
            let found = parse(&database, json!(null));
            assert_eq!(found.as_ref().map(|found| found.field), field);
            assert!(found.is_none_or(|found| !found.has_begun));
            let begun = parse(&database, known("Restoring"));
            assert_eq!(begun.as_ref().map(|found| found.field), field);
            assert!(begun.is_none_or(|found| found.has_begun));
            for phase in ["Completed", "NotNeeded"] {
                assert_eq!(parse(&database, known(phase)), None);
            }
        }
    }
}
