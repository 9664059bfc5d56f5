//! The table of the app's metrics. `docs/operate.md` shows the same rows.

use prometheus_client::registry::{Metric, Registry, Unit};

/// The prefix of all names.
pub const PREFIX: &str = "hello";

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of counts.
    Histogram,
    /// A distribution of times in seconds.
    #[strum(serialize = "histogram")]
    Seconds,
    /// Always 1; its labels are the information.
    Info,
}

/// A row of the table.
#[derive(Debug)]
pub struct Definition {
    /// The name without the prefix and what the type adds to it.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The names of the labels; a test compares them with the samples.
    #[cfg(test)]
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

impl Definition {
    /// Registers the metric of this row.
    pub fn register(&self, registry: &mut Registry, metric: impl Metric) {
        match self.kind {
            Kind::Seconds => {
                registry.register_with_unit(self.name, self.help, Unit::Seconds, metric);
            }
            Kind::Counter | Kind::Gauge | Kind::Histogram | Kind::Info => {
                registry.register(self.name, self.help, metric);
            }
        }
    }
}

macro_rules! metrics {
    ($($row:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $row: Definition = Definition {
                name: $name,
                kind: Kind::$kind,
                #[cfg(test)]
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All rows.
        #[cfg(test)]
        pub const ALL: &[Definition] = &[$($row),*];
    };
}

metrics! {
    BUILD: Info "build" ["version"] "The version of the running program";
    HTTP_REQUESTS: Counter "http_requests" ["method", "route", "status"] "Answered requests";
    HTTP_REQUEST_DURATION: Seconds "http_request_duration" ["method", "route"]
        "Time from the head of a request to its response";
    HTTP_REQUESTS_IN_FLIGHT: Gauge "http_requests_in_flight" [] "Requests in progress";
    HTTP_CONNECTIONS: Gauge "http_connections" [] "Open connections";
    HTTP_HANDLER_PANICS: Counter "http_handler_panics" []
        "Requests whose handler panicked: each is a defect of the program";
    STORE_BATCH_SIZE: Histogram "store_batch_size" ["kind"] "Requests in one statement";
    STORE_STATEMENT_DURATION: Seconds "store_statement_duration" ["kind"] "Time of one statement";
    STORE_CONNECTIONS: Gauge "store_connections" ["kind"]
        "Open connections to PostgreSQL, by the kind of work that they were opened for";
    STORE_CONNECTION_FAILURES: Counter "store_connection_failures" ["kind", "reason"]
        "Failed attempts to connect to PostgreSQL";
    STORE_LACKING_RIGHTS: Gauge "store_lacking_rights" ["privilege", "table"]
        "1 for each right in PostgreSQL that the service needs and its role lacks";
    STORE_READY: Gauge "store_ready" [] "1 while the database can be used";
    OIDC_KEY_REFRESHES: Counter "oidc_key_refreshes" ["result"]
        "Fetches of the keys of the issuer of tokens";
    OIDC_KEYS: Gauge "oidc_keys" [] "Keys of the issuer that tokens are checked with";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    use super::*;
    use crate::telemetry::metrics::MetricsFormat;
    use crate::telemetry::metrics::tests::every_metric;

    impl Definition {
        /// The name of the family in the exposition.
        fn family(&self) -> String {
            let unit = if self.kind == Kind::Seconds {
                "_seconds"
            } else {
                ""
            };
            format!("{PREFIX}_{}{unit}", self.name)
        }

        /// The name in queries.
        fn series(&self) -> String {
            let suffix = match self.kind {
                Kind::Counter => "_total",
                Kind::Info => "_info",
                Kind::Gauge | Kind::Histogram | Kind::Seconds => "",
            };
            format!("{}{suffix}", self.family())
        }
    }

    /// What a comment such as `# TYPE` says of each family.
    fn comments<'a>(text: &'a str, kind: &str) -> BTreeMap<&'a str, &'a str> {
        let prefix = format!("# {kind} ");
        text.lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split_once(' '))
            .collect()
    }

    #[test]
    fn the_registry_has_exactly_these_rows() {
        let text = every_metric().encode(MetricsFormat::OpenMetrics);
        let (types, helps) = (comments(&text, "TYPE"), comments(&text, "HELP"));
        assert_eq!(types.len(), ALL.len(), "{types:?}");
        for row in ALL {
            let family = row.family();
            assert_eq!(types[&*family], row.kind.to_string(), "{family}");
            assert_eq!(helps[&*family], format!("{}.", row.help), "{family}");
            let sample = text
                .lines()
                .find(|line| line.starts_with(&family))
                .unwrap_or_else(|| panic!("no sample of {family}"));
            let labels: BTreeSet<_> = sample
                .split(['{', ',', '}'])
                .filter_map(|part| part.split_once("=\"").map(|(name, _)| name))
                .filter(|name| *name != "le")
                .collect();
            assert_eq!(labels, row.labels.iter().copied().collect(), "{sample}");
        }
    }

    #[test]
    fn the_documentation_shows_these_rows() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate.md");
        let page = std::fs::read_to_string(page).unwrap();
        let mut table =
            String::from("| metric | type | labels | what |\n| --- | --- | --- | --- |\n");
        for row in ALL {
            let labels: Vec<_> = row.labels.iter().map(|name| format!("`{name}`")).collect();
            let (series, kind, labels) = (row.series(), row.kind, labels.join(", "));
            writeln!(table, "| `{series}` | {kind} | {labels} | {} |", row.help).unwrap();
        }
        assert!(
            page.contains(&table),
            "docs/operate.md needs this table:\n{table}"
        );
    }
}
