//! Metrics of the issuer of tokens.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::table;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// Fetches of the issuer's keys, and their number.
#[derive(Debug)]
pub struct OidcMetrics {
    refreshes: Family<ResultLabels, Counter>,
    keys: Gauge,
}

impl OidcMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let (refreshes, keys) = (Family::default(), Gauge::default());
        table::OIDC_KEY_REFRESHES.register(registry, refreshes.clone());
        table::OIDC_KEYS.register(registry, keys.clone());
        Self { refreshes, keys }
    }

    /// Counts a refresh that brought this many keys.
    pub fn fetched(&self, keys: usize) {
        self.count("ok");
        // At most a few dozen.
        self.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Counts a refresh that failed.
    pub fn failed(&self) {
        self.count("failed");
    }

    fn count(&self, result: &'static str) {
        self.refreshes.get_or_create(&ResultLabels { result }).inc();
    }
}
