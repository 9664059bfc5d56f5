//! The conditions of every resource as gauges, collected when they are read, and when its last backup succeeded.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Which conditions are true; those that the resource does not have yet are unknown.
    holds: [Option<bool>; ConditionType::ALL.len()],
    /// When a backup last succeeded, in seconds of Unix time.
    last_backup: Option<i64>,
}

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
        let last_backup = backup.and_then(|backup| backup.last_success_time.as_ref());
        let seconds = |time: &String| Some(time.parse::<Timestamp>().ok()?.as_second());
        Self {
            holds,
            last_backup: last_backup.and_then(seconds),
        }
    }

    fn each(self) -> impl Iterator<Item = (ConditionType, bool)> {
        let known = ConditionType::ALL.into_iter().zip(self.holds);
        known.filter_map(|(type_, holds)| Some((type_, holds?)))
    }

    fn holds(self, type_: ConditionType) -> bool {
        self.each().any(|(known, holds)| known == type_ && holds)
    }
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
        let mut family = encoder.encode_descriptor(
            "helloservice_last_backup_timestamp_seconds",
            "When a backup of the resource last succeeded, in Unix time",
            None,
            MetricType::Gauge,
        )?;
        for (key, conditions) in &*resources {
            let Some(seconds) = conditions.last_backup else {
                continue;
            };
            let labels = [("namespace", &*key.namespace), ("name", &*key.name)];
            family.encode_family(&labels)?.encode_gauge(&seconds)?;
        }
        Ok(())
    }
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
