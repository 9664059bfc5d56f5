//! Prometheus metrics of the operator.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

use crate::telemetry::{condition_gauges::Gauges, restore_gauges::Restores};

/// Label of a reconcile's outcome.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Outcome {
    outcome: &'static str,
}

/// Labels of an API call.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Call {
    verb: &'static str,
    result: &'static str,
}

/// Upper bounds of the histogram of durations, in seconds.
const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Makes [`Metrics`] from its table: field and name, type with its labels, unit if any, help.
macro_rules! metrics {
    ($($name:ident: $type:ty $(= $init:expr)?, $unit:expr, $help:literal;)+) => {
        /// All metrics; recording is lock-free apart from the label look-up.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// Conditions of the resources.
            pub conditions: Arc<Gauges>,
            /// Phases of the restores.
            pub restores: Arc<Restores>,
            $(#[doc = $help] pub $name: $type,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("hello_operator");
                let conditions = Arc::<Gauges>::default();
                registry.register_collector(Box::new(Arc::clone(&conditions)));
                let restores = Arc::<Restores>::default();
                registry.register_collector(Box::new(Arc::clone(&restores)));
                $(
                    let $name: $type = metrics!(@init $($init)?);
                    register(&mut registry, stringify!($name), $unit, $help, &$name);
                )+
                Self { registry, conditions, restores, $($name,)+ }
            }
        }
    };
    (@init) => { Default::default() };
    (@init $init:expr) => { $init };
}

// The gauges of `condition_gauges` are collected from the conditions when they are read.
metrics! {
    reconciles: Family<Outcome, Counter>, None, "Reconciles by outcome";
    reconcile_duration: Histogram = Histogram::new(SECONDS), Some(Unit::Seconds), "Duration of a reconcile";
    reconcile_panics: Counter, None, "Reconciles that panicked";
    reconciles_running: Gauge, None, "Reconciles that run now";
    queue_length: Gauge, None, "Resources that are due and wait for a free reconcile";
    resources: Gauge, None, "Resources known";
    resources_backing_off: Gauge, None, "Resources whose last reconcile failed";
    api_calls: Family<Call, Counter>, None, "Calls to the API server";
    watch_errors: Counter, None, "Watches that failed and were opened again";
    leader: Gauge, None, "1 while this process may write";
}

fn register(
    registry: &mut Registry,
    name: &str,
    unit: Option<Unit>,
    help: &str,
    metric: &(impl Metric + Clone),
) {
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, metric.clone()),
        None => registry.register(name, help, metric.clone()),
    }
}

impl Metrics {
    /// Records one reconcile.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// Records one API call.
    pub fn called(&self, verb: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "error" };
        self.api_calls.get_or_create(&Call { verb, result }).inc();
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

    use hello_crds::{ConditionType, HelloServiceStatus};
    use serde_json::json;

    use super::*;
    use crate::{object::key::Key, telemetry::condition_gauges::Conditions};

    fn conditions(status: &str, types: &[&str]) -> Conditions {
        let condition = |type_: &&str| json!({"type": type_, "status": status, "reason": "", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions: Vec<_> = types.iter().map(condition).collect();
        let status = json!({"conditions": conditions});
        Conditions::from_status(&serde_json::from_value::<HelloServiceStatus>(status).unwrap())
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
        let types = ConditionType::ALL.map(|type_| {
            json!({"type": type_.as_str(), "status": "True", "reason": "",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
        });
        let verified = json!({"time": "1970-01-02T00:00:01Z", "file": "hello", "sizeBytes": 5, "seconds": 1.5,
            "rows": 1, "schemaVersion": 1});
        let backup = json!({"lastSuccessTime": "1970-01-02T00:00:00Z", "lastVerified": verified, "count": 7});
        let status = json!({"conditions": types, "backup": backup});
        let every = Conditions::from_status(&serde_json::from_value(status).unwrap());
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
        for type_ in ConditionType::ALL.map(ConditionType::as_str) {
            assert_eq!(series("hello", type_).as_deref(), Some("1"), "{type_}");
        }
        assert!(ready());
        // An unknown type is no series, and neither is one that the status does not have yet.
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

    #[test]
    fn what_is_known_of_backups_is_a_gauge_where_it_is_known() {
        let metrics = full();
        let key = Key::new("default", "other");
        metrics
            .conditions
            .set(&key, conditions("False", &["BackupVerified"]));
        let text = metrics.render();
        for (name, value) in [
            ("last_backup_timestamp_seconds", "86400.0"),
            ("last_verified_backup_timestamp_seconds", "86401.0"),
            ("backup_size_bytes", "5.0"),
            ("backup_restore_seconds", "1.5"),
            ("backups", "7.0"),
        ] {
            let name = format!("hello_operator_helloservice_{name}{{");
            let lines = text.lines();
            let series: Vec<&str> = lines.filter(|line| line.starts_with(&name)).collect();
            let expected = format!(r#"{name}namespace="default",name="hello"}} {value}"#);
            assert_eq!(series, [expected]);
        }
        let reasons = text.lines().filter(|line| line.contains("_backup_reason{"));
        assert_eq!(reasons.count(), 2, "{text}");
    }

    #[test]
    fn without_names_only_numbers_are_left() {
        let metrics = full();
        metrics.conditions.leave_out_names();
        let text = metrics.render();
        assert!(!text.contains("namespace="), "{text}");
        let line = r#"hello_operator_resources_with_condition{condition="Ready"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
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
                let mut known = ConditionType::ALL.iter();
                assert!(known.any(|known| known.as_str() == type_), "{type_}");
            }
        }
        assert!(asked > 0);
    }
}
