//! Metrics of the database.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
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

/// Batches and statements of the PostgreSQL store.
#[derive(Debug)]
pub struct StoreMetrics {
    read: StatementMetrics,
    write: StatementMetrics,
    /// 1 while the database can be used.
    pub ready: Gauge,
}

#[derive(Debug)]
struct StatementMetrics {
    batch: Histogram,
    duration: Histogram,
}

impl StoreMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let batch = Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(BATCH));
        let duration =
            Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let ready = Gauge::default();
        table::STORE_BATCH_SIZE.register(registry, batch.clone());
        table::STORE_STATEMENT_DURATION.register(registry, duration.clone());
        table::STORE_READY.register(registry, ready.clone());
        let for_kind = |kind| StatementMetrics {
            batch: batch.get_or_create(&KindLabels { kind }).clone(),
            duration: duration.get_or_create(&KindLabels { kind }).clone(),
        };
        Self {
            read: for_kind("read"),
            write: for_kind("write"),
            ready,
        }
    }

    /// Counts one statement that carried `size` requests.
    pub fn statement(&self, writes: bool, size: usize, elapsed: Duration) {
        let metrics = if writes { &self.write } else { &self.read };
        metrics
            .batch
            .observe(u32::try_from(size).map_or(f64::MAX, f64::from));
        metrics.duration.observe(elapsed.as_secs_f64());
    }
}
