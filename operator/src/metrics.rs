//! Prometheus metrics of the operator.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Label of a reconcile's outcome.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    outcome: &'static str,
}

/// Labels of an API call.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Call {
    verb: &'static str,
    result: &'static str,
}

/// All metrics; recording is lock-free apart from the label look-up.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    duration: Histogram,
    calls: Family<Call, Counter>,
    /// Reconciles that run now.
    pub running: Gauge,
    /// Resources that wait for a worker or for their next time.
    pub queued: Gauge,
    /// Resources whose last reconcile failed.
    pub backing_off: Gauge,
    /// Resources known.
    pub resources: Gauge,
    /// Resources that are ready.
    pub ready: Gauge,
    /// Watches that broke and were opened again.
    pub watch_errors: Counter,
    /// 1 while this process may write.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ];
        let mut metrics = Self {
            registry: Registry::with_prefix("hello_operator"),
            reconciles: Family::default(),
            duration: Histogram::new(seconds),
            calls: Family::default(),
            running: Gauge::default(),
            queued: Gauge::default(),
            backing_off: Gauge::default(),
            resources: Gauge::default(),
            ready: Gauge::default(),
            watch_errors: Counter::default(),
            leader: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "reconciles",
            "Reconciles by outcome",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time a reconcile took",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("api_calls", "Calls to the API server", self.calls.clone());
        registry.register(
            "reconciles_running",
            "Reconciles running now",
            self.running.clone(),
        );
        registry.register("queue_length", "Resources scheduled", self.queued.clone());
        registry.register(
            "resources_backing_off",
            "Resources whose last reconcile failed",
            self.backing_off.clone(),
        );
        registry.register("resources", "Resources known", self.resources.clone());
        registry.register(
            "resources_ready",
            "Resources that are ready",
            self.ready.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that broke",
            self.watch_errors.clone(),
        );
        registry.register(
            "leader",
            "1 while this process may write",
            self.leader.clone(),
        );
    }

    /// Records one reconcile.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Records one API call.
    pub fn called(&self, verb: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "error" };
        self.calls.get_or_create(&Call { verb, result }).inc();
    }

    /// The text exposition.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
