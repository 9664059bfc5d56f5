//! The conditions of every resource as gauges, collected when they are read, and what is known of its backups.
//!
//! One series for each resource and documented type: 1 while the condition is true, 0 while it is false. They are
//! removed with the resource. Since they name the resources of every tenant, they can be left out; the numbers of
//! resources by condition are always there.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hello_crds::{ConditionType, HelloServiceStatus};
use jiff::Timestamp;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use crate::object::key::Key;

/// What is exposed of a status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Which conditions are true; those that the resource does not have yet are unknown.
    holds: [Option<bool>; ConditionType::ALL.len()],
    /// What is known of the backups, in the order of [`BACKUPS`].
    backups: [Option<f64>; BACKUPS.len()],
    /// Reason of the condition `BackupVerified`.
    backup_reason: Option<String>,
}

/// Gauges of the backups: name and meaning.
const BACKUPS: [(&str, &str); 5] = [
    (
        "helloservice_last_backup_timestamp_seconds",
        "When a backup of the resource last succeeded, in Unix time",
    ),
    (
        "helloservice_last_verified_backup_timestamp_seconds",
        "When a backup of the resource was last restored and compared, in Unix time",
    ),
    (
        "helloservice_backup_size_bytes",
        "Size of the newest proved backup of the resource",
    ),
    (
        "helloservice_backup_restore_seconds",
        "How long the restore of the newest proved backup of the resource took",
    ),
    (
        "helloservice_backups",
        "Proved backups of the resource that its destination holds",
    ),
];

impl Conditions {
    /// Those of a status.
    #[must_use]
    pub fn from_status(status: &HelloServiceStatus) -> Self {
        let holds = ConditionType::ALL.map(|type_| {
            let mut all = status.conditions.iter();
            all.find(|condition| condition.type_ == type_.as_str())
                .map(|condition| condition.status == "True")
        });
        let backup = status.backup.as_ref();
        let verified = backup.and_then(|backup| backup.last_verified.as_ref());
        let succeeded = backup.and_then(|backup| backup.last_success_time.as_ref());
        let mut conditions = status.conditions.iter();
        let condition =
            conditions.find(|condition| condition.type_ == ConditionType::BackupVerified.as_str());
        Self {
            holds,
            backups: [
                succeeded.and_then(|time| seconds(time)),
                verified.and_then(|verified| seconds(&verified.time)),
                verified.map(|verified| number(verified.size_bytes)),
                verified.map(|verified| verified.seconds),
                backup.and_then(|backup| backup.count).map(number),
            ],
            backup_reason: condition.map(|condition| condition.reason.clone()),
        }
    }

    fn each(&self) -> impl Iterator<Item = (ConditionType, bool)> {
        let known = ConditionType::ALL.into_iter().zip(self.holds);
        known.filter_map(|(type_, holds)| Some((type_, holds?)))
    }

    fn holds(&self, type_: ConditionType) -> bool {
        self.each().any(|(known, holds)| known == type_ && holds)
    }
}

fn seconds(time: &str) -> Option<f64> {
    Some(number(time.parse::<Timestamp>().ok()?.as_second()))
}

/// As Prometheus has numbers.
#[allow(clippy::cast_precision_loss)] // Exact up to 8 PiB, and beyond that exact enough.
const fn number(value: i64) -> f64 {
    value as f64
}

/// The conditions of all resources.
#[derive(Debug, Default)]
pub struct Gauges {
    resources: Mutex<HashMap<Key, Conditions>>,
    without_names: AtomicBool,
}

impl Gauges {
    fn resources(&self) -> MutexGuard<'_, HashMap<Key, Conditions>> {
        // A thread that panicked can only have left a complete map behind.
        self.resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves out the series that name resources.
    pub fn leave_out_names(&self) {
        self.without_names.store(true, Ordering::Relaxed);
    }

    /// The conditions of a resource are these now.
    pub fn set(&self, key: &Key, conditions: Conditions) {
        self.resources().insert(key.clone(), conditions);
    }

    /// The resource is gone.
    pub fn forget(&self, key: &Key) {
        self.resources().remove(key);
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let resources = self.resources();
        let ready = resources
            .values()
            .filter(|conditions| conditions.holds(ConditionType::Ready))
            .count();
        encoder
            .encode_descriptor(
                "resources_ready",
                "Resources that are ready",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&ready)?;
        let mut family = encoder.encode_descriptor(
            "resources_with_condition",
            "Resources whose condition is true",
            None,
            MetricType::Gauge,
        )?;
        for type_ in ConditionType::ALL {
            let with = resources
                .values()
                .filter(|conditions| conditions.holds(type_));
            family
                .encode_family(&[("condition", type_.as_str())])?
                .encode_gauge(&with.count())?;
        }
        if self.without_names.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "helloservice_status_condition",
            "1 while the condition of the resource is true",
            None,
            MetricType::Gauge,
        )?;
        for (key, conditions) in &*resources {
            for (type_, holds) in conditions.each() {
                let labels = [
                    ("namespace", &*key.namespace),
                    ("name", &*key.name),
                    ("condition", type_.as_str()),
                ];
                family
                    .encode_family(&labels)?
                    .encode_gauge(&u32::from(holds))?;
            }
        }
        encode_backups(&resources, &mut encoder)
    }
}

/// What is known of the backups. There is no series of what is not known.
fn encode_backups(
    resources: &HashMap<Key, Conditions>,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    for (index, (name, help)) in BACKUPS.iter().enumerate() {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (key, conditions) in resources {
            if let Some(value) = conditions.backups[index] {
                let labels = [("namespace", &*key.namespace), ("name", &*key.name)];
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
    }
    let mut family = encoder.encode_descriptor(
        "helloservice_backup_reason",
        "1 for the reason of the condition BackupVerified of the resource",
        None,
        MetricType::Gauge,
    )?;
    for (key, conditions) in resources {
        if let Some(reason) = &conditions.backup_reason {
            let labels = [
                ("namespace", &*key.namespace),
                ("name", &*key.name),
                ("reason", reason),
            ];
            family.encode_family(&labels)?.encode_gauge(&1_u32)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_explains_exactly_these_conditions() {
        let documented = crate::documented("conditions.md", "# Conditions and their reasons");
        let known: BTreeSet<String> = ConditionType::ALL.map(|type_| type_.to_string()).into();
        assert_eq!(documented, known);
    }
}
