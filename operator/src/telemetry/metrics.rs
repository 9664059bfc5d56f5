//! Prometheus metrics of the operator.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::telemetry::condition_gauges::Gauges;

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
    /// Conditions of the resources.
    pub conditions: Arc<Gauges>,
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
            conditions: Arc::default(),
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
            "watch_errors",
            "Watches that broke",
            self.watch_errors.clone(),
        );
        registry.register(
            "leader",
            "1 while this process may write",
            self.leader.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&self.conditions)));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hello_crds::HelloServiceStatus;
    use serde_json::json;

    use super::*;
    use crate::{
        object::key::Key, service::report::condition, telemetry::condition_gauges::Conditions,
    };

    fn conditions(status: &str, types: &[&str]) -> Conditions {
        let condition = |type_: &&str| json!({"type": type_, "status": status, "reason": "", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions: Vec<_> = types.iter().map(condition).collect();
        let status = json!({"conditions": conditions});
        Conditions::of(&serde_json::from_value::<HelloServiceStatus>(status).unwrap())
    }

    /// The names of all series, without what a histogram adds to its name.
    fn exposed(metrics: &Metrics) -> BTreeSet<String> {
        let text = metrics.render();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series
            .map(|line| line.split(['{', ' ']).next().unwrap())
            .map(|name| {
                let ends = ["_bucket", "_sum", "_count"];
                let base = ends.iter().find_map(|end| name.strip_suffix(end));
                base.unwrap_or(name).to_owned()
            })
            .collect()
    }

    fn full() -> Metrics {
        let metrics = Metrics::default();
        metrics.reconciled("changed", Duration::ZERO);
        metrics.called("get", true);
        let every = conditions("True", &condition::ALL);
        metrics.conditions.set(&Key::new("default", "hello"), every);
        metrics
    }

    #[test]
    fn the_documentation_explains_exactly_these_metrics() {
        let documented = crate::documented("operate.md", "### The operator's metrics");
        assert_eq!(documented, exposed(&full()));
    }

    #[test]
    fn each_condition_is_a_gauge_that_goes_with_its_resource() {
        let metrics = full();
        let series = |name: &str, type_: &str| {
            let labels = format!(r#"namespace="default",name="{name}",condition="{type_}""#);
            let start = format!("hello_operator_helloservice_status_condition{{{labels}}} ");
            let text = metrics.render();
            let mut found = text.lines().filter_map(|line| line.strip_prefix(&start));
            found.next().map(str::to_owned)
        };
        let ready = || {
            let text = metrics.render();
            let mut lines = text.lines();
            lines.any(|line| line == "hello_operator_resources_ready 1")
        };
        for type_ in condition::ALL {
            assert_eq!(series("hello", type_).as_deref(), Some("1"), "{type_}");
        }
        assert!(ready());
        // A type that nobody documented is no series, and neither is one that is not known yet.
        let key = Key::new("default", "other");
        let some = conditions("False", &["Ready", "Surprise"]);
        metrics.conditions.set(&key, some);
        assert_eq!(series("other", "Ready").as_deref(), Some("0"));
        assert_eq!(series("other", "Surprise"), None);
        assert_eq!(series("other", "Migrated"), None);
        assert!(ready());
        metrics.conditions.forget(&Key::new("default", "hello"));
        assert_eq!(series("hello", "Ready"), None);
        assert!(!ready());
    }

    /// An alert on a series that does not exist never fires.
    #[test]
    fn the_alerts_ask_for_metrics_that_exist() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../manifests/components/alerts/alerts.yaml"
        );
        let rules: serde_json::Value =
            serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let exposed = exposed(&full());
        let mut asked = 0;
        for rule in rules["spec"]["groups"][0]["rules"].as_array().unwrap() {
            let expression = rule["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in words.filter(|word| word.starts_with("hello_")) {
                assert!(exposed.contains(name), "{name}");
                asked += 1;
            }
            let types = expression.split("condition=\"").skip(1);
            for type_ in types.map(|rest| rest.split('"').next().unwrap()) {
                assert!(condition::ALL.contains(&type_), "{type_}");
            }
        }
        assert!(asked > 0);
    }
}
