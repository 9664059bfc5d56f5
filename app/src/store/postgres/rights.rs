//! What the service's role has to be allowed in the database, and what it is not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job::Job;
use crate::store::schema::Right;
use crate::telemetry::StoreMetrics;

/// Reads people.
pub const READ_USERS: &[Right] = &[Right::new("SELECT", "users")];

/// Reads people and friendships.
pub const READ_ALL: &[Right] = &[
    Right::new("SELECT", "users"),
    Right::new("SELECT", "friendships"),
];

/// Writes people, and removes the friendships of those who are removed.
pub const WRITE_USERS: &[Right] = &[
    Right::new("SELECT", "users"),
    Right::new("INSERT", "users"),
    Right::new("UPDATE", "users"),
    Right::new("DELETE", "users"),
    Right::new("SELECT", "friendships"),
    Right::new("DELETE", "friendships"),
];

/// Writes people and friendships.
pub const WRITE_ALL: &[Right] = &Right::ALL;

/// Several rights, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking(Vec<Right>);

impl Lacking {
    /// The right to look into the schema, when that is lacking.
    pub fn schema(lacking: &[Right]) -> Option<Self> {
        let is_lacking = lacking.contains(&Right::SCHEMA);
        is_lacking.then(|| Self(vec![Right::SCHEMA]))
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&names.join(", "))
    }
}

/// What all connections know of the rights that are lacking. Each change is logged, with their names, and counted.
#[derive(Debug)]
pub struct Rights {
    metrics: Arc<StoreMetrics>,
    lacking: Mutex<Vec<Right>>,
}

impl Rights {
    /// All are there, as far as is known.
    pub fn new(metrics: Arc<StoreMetrics>) -> Self {
        Self {
            metrics,
            lacking: Mutex::default(),
        }
    }

    /// Notes what is `lacking`, as the server has just said.
    pub fn note(&self, lacking: &[Right]) {
        let mut known = self.known();
        if *known == lacking {
            return;
        }
        let names = lacking.iter().map(|right| (right.privilege, right.table));
        self.metrics.lacking_rights(names);
        *known = lacking.to_vec();
        if lacking.is_empty() {
            tracing::info!("the role has all rights in the database");
        } else {
            let lacking = Lacking(known.clone());
            tracing::error!(%lacking, "the role lacks rights in the database");
        }
    }

    /// What the work of `J` lacks, as far as is known.
    pub fn lacking<J: Job>(&self) -> Option<Lacking> {
        let known = self.known();
        let needed = known.iter().filter(|right| J::RIGHTS.contains(right));
        let needed: Vec<Right> = needed.copied().collect();
        (!needed.is_empty()).then_some(Lacking(needed))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Right>> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
