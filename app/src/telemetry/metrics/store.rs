//! Metrics of the database.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::buckets::{BATCH, SECONDS};
use super::table;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RightLabels {
    privilege: &'static str,
    table: &'static str,
}

/// The kinds of work: greetings, lists, and what changes something under a condition, one by one.
const KINDS: [&str; 4] = ["read", "write", "list", "change"];

/// Connections, batches and statements of the PostgreSQL store.
#[derive(Debug)]
pub struct StoreMetrics {
    kinds: [KindMetrics; KINDS.len()],
    failures: Family<FailureLabels, Counter>,
    lacking_rights: Family<RightLabels, Gauge>,
    /// 1 while the database can be used.
    pub ready: Gauge,
}

#[derive(Debug)]
struct KindMetrics {
    batch: Histogram,
    duration: Histogram,
    connections: Gauge,
}

/// A connection that is counted for as long as this lives.
#[derive(Debug)]
pub struct CountedConnection(Gauge);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl StoreMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let batch = Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(BATCH));
        let duration =
            Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let connections = Family::<KindLabels, Gauge>::default();
        let (ready, failures) = (Gauge::default(), Family::default());
        table::STORE_BATCH_SIZE.register(registry, batch.clone());
        table::STORE_STATEMENT_DURATION.register(registry, duration.clone());
        table::STORE_CONNECTIONS.register(registry, connections.clone());
        table::STORE_CONNECTION_FAILURES.register(registry, failures.clone());
        let lacking_rights = Family::default();
        table::STORE_LACKING_RIGHTS.register(registry, lacking_rights.clone());
        table::STORE_READY.register(registry, ready.clone());
        let kinds = KINDS.map(|kind| {
            let labels = KindLabels { kind };
            KindMetrics {
                batch: batch.get_or_create(&labels).clone(),
                duration: duration.get_or_create(&labels).clone(),
                connections: connections.get_or_create(&labels).clone(),
            }
        });
        Self {
            kinds,
            failures,
            lacking_rights,
            ready,
        }
    }

    /// Counts one statement that carried `size` requests.
    pub fn statement(&self, kind: &str, size: usize, elapsed: Duration) {
        if let Some(metrics) = self.kind(kind) {
            metrics
                .batch
                .observe(u32::try_from(size).map_or(f64::MAX, f64::from));
            metrics.duration.observe(elapsed.as_secs_f64());
        }
    }

    /// Counts a connection that was opened for this kind of work, until the returned value is dropped.
    pub fn connected(&self, kind: &str) -> Option<CountedConnection> {
        let connections = self.kind(kind)?.connections.clone();
        connections.inc();
        Some(CountedConnection(connections))
    }

    /// Counts an attempt that failed.
    pub fn not_connected(&self, kind: &'static str, reason: &'static str) {
        let labels = FailureLabels { kind, reason };
        self.failures.get_or_create(&labels).inc();
    }

    /// Notes what the role lacks: privileges on tables.
    pub fn lacking_rights(&self, lacking: impl IntoIterator<Item = (&'static str, &'static str)>) {
        self.lacking_rights.clear();
        for (privilege, table) in lacking {
            let labels = RightLabels { privilege, table };
            self.lacking_rights.get_or_create(&labels).set(1);
        }
    }

    fn kind(&self, kind: &str) -> Option<&KindMetrics> {
        let place = KINDS.iter().position(|known| *known == kind)?;
        self.kinds.get(place)
    }
}
