//! How many restores are in which phase, collected when it is read.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use hello_crds::RestorePhase;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use crate::object::key::Key;

/// The phases of the restores.
#[derive(Debug, Default)]
pub struct Restores(Mutex<HashMap<Key, RestorePhase>>);

impl Restores {
    /// A restore is in this phase.
    pub fn set(&self, key: &Key, phase: RestorePhase) {
        // A thread that panicked can only have left a complete map behind.
        let mut phases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phases.insert(key.clone(), phase);
    }

    /// A restore is gone.
    pub fn forget(&self, key: &Key) {
        let mut phases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phases.remove(key);
    }
}

impl Collector for Restores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let phases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = encoder.encode_descriptor(
            "restores",
            "Restores in a phase",
            None,
            MetricType::Gauge,
        )?;
        for phase in RestorePhase::ALL {
            let count = phases.values().filter(|is| *is == phase).count();
            family
                .encode_family(&[("phase", phase.as_str())])?
                .encode_gauge(&count)?;
        }
        Ok(())
    }
}
