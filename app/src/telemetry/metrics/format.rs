//! The two text formats of metrics, and which of them a reader wants.

use std::fmt::Write as _;

use http::{HeaderMap, header};

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every reader knows.
    Prometheus,
}

impl MetricsFormat {
    /// The format that a request asks for: OpenMetrics where it is named and nothing that the other format fits is
    /// preferred to it. Versions that do not exist are not known.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let (mut open, mut plain) = (0.0, 0.0_f32);
        let ranges = headers.get_all(header::ACCEPT).iter();
        let ranges = ranges.filter_map(|value| value.to_str().ok());
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |wanted: &str| {
                let found = parameters
                    .iter()
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.trim().trim_matches('"'))
            };
            let quality = parameter("q").map_or(Some(1.0_f32), |text| text.parse().ok());
            let quality = quality.filter(|quality| (0.0..=1.0).contains(quality));
            let quality = quality.unwrap_or(0.0);
            match (&*media, parameter("version")) {
                ("application/openmetrics-text", None | Some("1.0.0")) => open = quality.max(open),
                ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => {
                    plain = quality.max(plain);
                }
                _ => {}
            }
        }
        if open > 0.0 && open >= plain {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics as Prometheus' text format. The samples are the same; a family is named like its samples, and there is
/// neither a unit, nor an info, nor a mark of the end.
pub fn to_prometheus(text: &str) -> String {
    let mut converted = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            help = line.split_once(' ');
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            let (family, kind) = line.split_once(' ').unwrap_or((line, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = help.take().map_or("", |(_, help)| help);
            // Writing into a String cannot fail.
            let _ = write!(
                converted,
                "# HELP {family}{suffix} {help}\n# TYPE {family}{suffix} {kind}\n"
            );
        } else if !line.starts_with('#') {
            converted.push_str(line);
            converted.push('\n');
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use http::HeaderValue;

    use super::*;
    use crate::telemetry::metrics::tests::every_metric;

    fn accepted(values: &[&'static str]) -> MetricsFormat {
        let value = |text: &&'static str| (header::ACCEPT, HeaderValue::from_static(text));
        MetricsFormat::accepted(&values.iter().map(value).collect())
    }

    #[test]
    fn a_reader_gets_the_format_that_it_asks_for() {
        for open in [
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\", text/plain",
            "*/*, application/openmetrics-text",
        ] {
            assert_eq!(accepted(&[open]), MetricsFormat::OpenMetrics, "{open}");
        }
        for plain in [
            "",
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4",
            "text/plain, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=NaN",
            "application/json",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            ";;,;=",
        ] {
            assert_eq!(accepted(&[plain]), MetricsFormat::Prometheus, "{plain}");
        }
        assert_eq!(accepted(&[]), MetricsFormat::Prometheus);
        let both = ["text/plain;q=0.1", "application/openmetrics-text;q=0.2"];
        assert_eq!(accepted(&both), MetricsFormat::OpenMetrics);
    }

    /// As strict as Prometheus' own parser and its check of names: each family once, with its help and its type before its
    /// samples, which are together, named as the type demands, and numbers.
    #[test]
    fn prometheus_text_is_sound() {
        let text = every_metric().encode(MetricsFormat::Prometheus);
        assert!(text.ends_with('\n') && !text.contains("# EOF") && !text.contains("# UNIT"));
        let mut families = BTreeMap::new();
        let mut series = BTreeSet::new();
        let (mut helped, mut current) = (None, ("", ""));
        for line in text.lines() {
            if let Some((family, help)) = line
                .strip_prefix("# HELP ")
                .and_then(|line| line.split_once(' '))
            {
                assert!(!help.is_empty(), "{line}");
                helped = Some(family);
            } else if let Some(line) = line.strip_prefix("# TYPE ") {
                let (family, kind) = line.split_once(' ').unwrap();
                assert_eq!(helped.take(), Some(family));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
                assert!(families.insert(family, kind).is_none(), "{line}");
                current = (family, kind);
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(series.insert(name), "{line}");
                let (family, kind) = current;
                let rest = name
                    .split('{')
                    .next()
                    .unwrap()
                    .strip_prefix(family)
                    .unwrap();
                let known: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(known.contains(&rest), "{line}");
            }
        }
        let open = every_metric().encode(MetricsFormat::OpenMetrics);
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples(&open), samples(&text));
        assert_eq!(families["hello_build_info"], "gauge");
    }
}
