//! `kubectl hello status`: what a service consists of, what is wrong, and what to type next.

mod node;
#[cfg(test)]
mod picture;
mod pods;
mod report;
mod restores;
#[cfg(test)]
mod tests;
mod text;

pub use node::{Mark, Node};
pub use pods::part;
pub use report::{Report, backup_nodes};
pub use text::tree;

use std::time::Duration;

use clap::{Args, ValueEnum};
use hello_crds::HelloService;
use jiff::Timestamp;

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result},
    terminal::Terminal,
};

/// Interval of looks with `--watch`.
const INTERVAL: Duration = Duration::from_secs(2);

/// Form of an output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Options of `status`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service. Default: all of the namespace
    pub name: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    /// Show it again whenever it changes, until interrupted
    #[arg(short, long)]
    pub watch: bool,
}

/// Shows the status.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let mut shown = String::new();
    loop {
        match look(cluster, options, terminal.color).await {
            Ok((text, exit)) => {
                if text != shown {
                    // The screen from its beginning, and nothing of what was there.
                    let clear = if options.watch && terminal.color {
                        "\x1b[H\x1b[2J"
                    } else {
                        ""
                    };
                    terminal.print(&format!("{clear}{text}"))?;
                    shown = text;
                }
                if !options.watch {
                    return Ok(exit);
                }
            }
            // A watch goes on when the API server comes back.
            Err(error) if options.watch && !shown.is_empty() => {
                terminal.report(&format!("error: {error}"));
                shown.clear();
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What is shown now, and whether all is well.
async fn look(cluster: &Cluster, options: &Options, color: bool) -> Result<(String, Exit)> {
    let services = match &options.name {
        Some(name) => vec![cluster.service(name).await?],
        None => cluster.all_services().await?,
    };
    if services.is_empty() {
        return Err(Error::Refused(format!(
            "there is no HelloService in namespace {}\nTry `kubectl get helloservices --all-namespaces`",
            cluster.namespace
        )));
    }
    let mut reports = Vec::new();
    for service in services {
        reports.push(observe(cluster, service).await);
    }
    let well = reports.iter().all(|report| report.well);
    let exit = if well { Exit::Well } else { Exit::Unwell };
    let text = match (options.output, &options.name) {
        (Format::Json, Some(_)) => json(&reports[0]),
        (Format::Json, None) => json(&reports),
        (Format::Text, _) => {
            let texts: Vec<String> = reports.iter().map(|report| tree(report, color)).collect();
            texts.join("\n")
        }
    };
    Ok((text, exit))
}

/// Reads what a service consists of. What may not be read, or does not answer, is a part of the report.
async fn observe(cluster: &Cluster, service: HelloService) -> Report {
    let name = service.metadata.name.clone().unwrap_or_default();
    let (pods, autoscaler, restores) = futures::join!(
        cluster.pods(&name),
        cluster.autoscaler(&name),
        cluster.restores(&name),
    );
    let observed = report::Observed {
        service,
        pods: pods.map_err(|error| error.to_string()),
        autoscaler: autoscaler.map_err(|error| error.to_string()),
        restores: restores.map_err(|error| error.to_string()),
    };
    Report::new(
        &observed,
        &cluster.namespace,
        &cluster.place,
        Timestamp::now(),
    )
}

/// For programs.
pub fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    // Types of our own, whose maps have names as keys.
    text.unwrap_or_default() + "\n"
}
