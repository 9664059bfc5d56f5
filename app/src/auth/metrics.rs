//! Metrics of the keys of the issuer.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// Metrics of the keys of the issuer.
#[derive(Debug)]
pub struct OidcMetrics {
    refreshes: Family<ResultLabels, Counter>,
    keys: Gauge,
}

impl OidcMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let (refreshes, keys) = (Family::default(), Gauge::default());
        registry.register(
            "oidc_key_refreshes",
            "Times that the issuer's keys were asked for",
            refreshes.clone(),
        );
        registry.register(
            "oidc_keys",
            "Keys of the issuer that tokens are checked with",
            keys.clone(),
        );
        Self { refreshes, keys }
    }

    /// Counts a refresh that fetched this many keys.
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
