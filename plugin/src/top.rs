//! `kubectl hello top`: what the containers of a service use, beside what they ask for and may have.

use std::collections::BTreeMap;

use clap::Args;
use hello_crds::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result},
    status::{Format, json, part},
    terminal::Terminal,
    words::{bytes, printable},
};

/// Options of `top`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
}

/// Shows what is used.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let name = &options.name;
    cluster.service(name).await?;
    let pods = cluster.pods(name).await?;
    let metrics = match cluster.pod_metrics(name).await {
        Err(error) if error.is_unknown_api() => {
            return Err(Error::Refused(
                "this cluster has no metrics API: install metrics-server, https://github.com/kubernetes-sigs/metrics-server"
                    .into(),
            ));
        }
        answer => answer?,
    };
    let rows = rows(&pods, &metrics);
    let text = match options.output {
        Format::Json => json(&rows),
        Format::Text => table(&rows),
    };
    terminal.print(&text)?;
    if metrics.is_empty() {
        terminal.report("no metrics are known yet: metrics-server measures once or twice a minute");
        return Ok(Exit::Unwell);
    }
    Ok(Exit::Well)
}

/// What a container uses, asks for and may have.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    part: &'static str,
    pod: String,
    container: String,
    /// In thousandths of a core.
    cpu: Share,
    /// In bytes.
    memory: Share,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

impl Share {
    /// In this unit, which is so many thousandths.
    fn read(used: &Value, container: &Container, resource: &str, unit: u128) -> Self {
        let amount = |text: &str| {
            let quantity = Quantity::parse(text)?;
            u64::try_from(quantity.thousandths() / unit).ok()
        };
        let resources = container.resources.clone().unwrap_or_default();
        let of = |all: Option<BTreeMap<String, _>>| {
            let k8s_openapi::apimachinery::pkg::api::resource::Quantity(text) =
                all?.remove(resource)?;
            amount(&text)
        };
        Self {
            used: used[resource].as_str().and_then(amount),
            request: of(resources.requests),
            limit: of(resources.limits),
        }
    }

    /// The three as texts, what is used with its share of the limit.
    fn texts(&self, text: impl Fn(u64) -> String) -> [String; 3] {
        let known = |value: Option<u64>| value.map_or("-".to_owned(), &text);
        let used = match (self.used, self.limit) {
            (Some(used), Some(limit)) if limit > 0 => {
                let percent = u128::from(used) * 100 / u128::from(limit);
                format!("{} ({percent} %)", text(used))
            }
            (used, _) => known(used),
        };
        [used, known(self.request), known(self.limit)]
    }
}

/// A row for each container that runs, by part, pod and container.
fn rows(pods: &[Pod], metrics: &[DynamicObject]) -> Vec<Row> {
    let nothing = Value::Null;
    let mut rows = Vec::new();
    for pod in pods {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let (Some(part), Some(spec), Some("Running")) = (part(pod), &pod.spec, phase) else {
            continue;
        };
        let measured = metrics
            .iter()
            .find(|metrics| metrics.metadata.name == pod.metadata.name);
        let measured = measured.and_then(|metrics| metrics.data["containers"].as_array());
        for container in &spec.containers {
            let used = measured
                .into_iter()
                .flatten()
                .find(|used| used["name"] == *container.name)
                .map_or(&nothing, |used| &used["usage"]);
            rows.push(Row {
                part: part.as_str(),
                pod: pod.metadata.name.clone().unwrap_or_default(),
                container: container.name.clone(),
                cpu: Share::read(used, container, "cpu", 1),
                memory: Share::read(used, container, "memory", 1_000),
            });
        }
    }
    rows.sort_by(|a, b| (a.part, &a.pod, &a.container).cmp(&(b.part, &b.pod, &b.container)));
    rows
}

/// The rows for people, in columns.
fn table(rows: &[Row]) -> String {
    let head = [
        "PART",
        "POD",
        "CONTAINER",
        "CPU",
        "REQUEST",
        "LIMIT",
        "MEMORY",
        "REQUEST",
        "LIMIT",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let names = [row.part, &row.pod, &row.container].map(printable);
        let cpu = row.cpu.texts(|thousandths| format!("{thousandths}m"));
        let memory = row
            .memory
            .texts(|count| bytes(count.try_into().unwrap_or(i64::MAX)));
        lines.push([names, cpu, memory].concat());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|n| width(n).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, part: &str, phase: &str, resources: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {hello_crds::names::COMPONENT_LABEL: part}},
            "spec": {"containers": [{"name": part, "resources": resources}]},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn metrics(pod: &str, container: &str, cpu: &str, memory: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": pod},
            "containers": [{"name": container, "usage": {"cpu": cpu, "memory": memory}}],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_used_stands_beside_what_may_be_used() {
        let both =
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
        let pods = [
            pod("demo-db-0", "database", "Running", both.clone()),
            pod("demo-b", "app", "Running", both),
            pod("demo-a", "app", "Running", json!({})),
            pod("demo-migrate", "migration", "Succeeded", json!({})),
        ];
        let metrics = [
            metrics("demo-b", "app", "12345678n", "131072Ki"),
            metrics("demo-db-0", "database", "2", "1Gi"),
            metrics("gone", "app", "1", "1"),
        ];
        let expected = "\
PART      POD        CONTAINER  CPU    REQUEST  LIMIT  MEMORY             REQUEST   LIMIT
app       demo-a     app        -      -        -      -                  -         -
app       demo-b     app        13m    100m     -      128.0 MiB (50 %)   64.0 MiB  256.0 MiB
database  demo-db-0  database   2000m  100m     -      1.0 GiB (400 %)    64.0 MiB  256.0 MiB
";
        let rows = rows(&pods, &metrics);
        let text = table(&rows);
        let squeezed = |text: &str| -> Vec<String> {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect()
        };
        assert_eq!(squeezed(&text), squeezed(expected));
        let start = |word: &str| text.lines().map(|line| line.find(word)).collect::<Vec<_>>();
        assert_eq!(start("64.0")[2], start("64.0")[3], "{text}");
        assert_eq!(
            serde_json::to_value(&rows[1].memory).unwrap(),
            json!({"used": 134_217_728, "request": 67_108_864, "limit": 268_435_456})
        );
    }

    #[test]
    fn what_is_no_quantity_is_not_known() {
        let pods = [pod(
            "a",
            "app",
            "Running",
            json!({"limits": {"memory": "0"}}),
        )];
        let metrics = [metrics("a", "app", "-1", "99999999999999999999E")];
        let rows = rows(&pods, &metrics);
        assert_eq!(rows[0].cpu, Share::default());
        assert_eq!(rows[0].memory.used, None);
        assert!(table(&rows).contains('-'));
    }
}
