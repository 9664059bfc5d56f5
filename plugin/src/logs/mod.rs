//! `kubectl hello logs`: the logs of all parts of a service, merged by time.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use futures::{AsyncBufReadExt, StreamExt, future::join_all, io::Lines};
use hello_crds::names::Component;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result, with_causes},
    status::part,
    terminal::Terminal,
    words::printable,
};

/// Interval at which new pods are looked for.
const INTERVAL: Duration = Duration::from_secs(2);
/// Lines that may wait to be written, of all containers together.
const WAITING: usize = 256;

/// The values of an option that names parts, with their meanings.
fn components() -> impl TypedValueParser<Value = Component> {
    let meaning = |component| match component {
        Component::App => "The API",
        Component::Database => "PostgreSQL",
        Component::Migration => "The schema migration",
        Component::Backup => "Backups",
        Component::Restore => "Steps of restores",
    };
    let value =
        |component: Component| PossibleValue::new(component.as_str()).help(meaning(component));
    PossibleValuesParser::new(Component::ALL.map(value))
        .try_map(|value| Component::from_value(&value).ok_or("no part of a service"))
}

/// Options of `logs`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Only these parts. Default: all
    #[arg(long, value_parser = components(), value_name = "PART", value_delimiter = ',')]
    pub part: Vec<Component>,
    /// Go on with what is written from now on, also by pods that start later
    #[arg(short, long)]
    pub follow: bool,
    /// Newest lines of each container, -1 for all
    #[arg(
        long,
        value_name = "LINES",
        default_value_t = 100,
        allow_negative_numbers = true
    )]
    pub tail: i64,
    /// Only lines that are newer than this, such as 10m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,
}

impl Options {
    fn parameters(&self, container: &str) -> LogParams {
        LogParams {
            container: Some(container.to_owned()),
            follow: self.follow,
            tail_lines: (self.tail >= 0).then_some(self.tail),
            since_seconds: self
                .since
                .map(|time| time.as_secs().max(1).try_into().unwrap_or(i64::MAX)),
            timestamps: !self.follow,
            ..Default::default()
        }
    }
}

/// Prints the logs.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    // A name that is wrong is better said than followed.
    cluster.service(&options.name).await?;
    if options.follow {
        return follow(cluster, options, terminal).await;
    }
    let pods = cluster.pods(&options.name).await?;
    let sources = sources(&pods, &options.part);
    let api = cluster.pod_api();
    let reads = sources.iter().map(async |source| {
        let parameters = options.parameters(&source.container);
        (source, api.logs(&source.pod, &parameters).await)
    });
    let (mut lines, mut read) = (Vec::new(), 0);
    for (source, answer) in join_all(reads).await {
        match answer {
            Ok(text) => {
                read += 1;
                lines.extend(text.lines().map(|line| Line::read(source, line)));
            }
            Err(error) => terminal.report(&format!("{}: {}", source.prefix(), with_causes(&error))),
        }
    }
    if read == 0 {
        return Err(Error::Refused(format!(
            "no logs of {} can be read",
            options.name
        )));
    }
    // Stable: lines of one container stay in their order.
    lines.sort_by_key(|line| line.time);
    for line in &lines {
        terminal.print(&line.text)?;
    }
    Ok(Exit::Well)
}

/// A container, and how often it was started: each start has a log of its own.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Source {
    pod: String,
    container: String,
    starts: i32,
}

impl Source {
    fn prefix(&self) -> String {
        format!("{}/{}", self.pod, self.container)
    }
}

/// The containers of the pods of these parts that have been started.
fn sources(pods: &[Pod], parts: &[Component]) -> Vec<Source> {
    let wanted =
        |pod: &&Pod| parts.is_empty() || part(pod).is_some_and(|part| parts.contains(&part));
    let mut sources = Vec::new();
    for pod in pods.iter().filter(wanted) {
        let status = pod.status.clone().unwrap_or_default();
        let containers = [status.init_container_statuses, status.container_statuses];
        for container in containers.into_iter().flatten().flatten() {
            let state = container.state.unwrap_or_default();
            if state.running.is_some() || state.terminated.is_some() {
                sources.push(Source {
                    pod: pod.metadata.name.clone().unwrap_or_default(),
                    container: container.name,
                    starts: container.restart_count,
                });
            }
        }
    }
    sources.sort();
    sources
}

/// A line of a log, ready to be shown.
struct Line {
    time: Option<Timestamp>,
    text: String,
}

impl Line {
    /// From a line that begins with its time.
    fn read(source: &Source, line: &str) -> Self {
        let (time, words) = line.split_once(' ').unwrap_or((line, ""));
        match time.parse() {
            Ok(time) => Self {
                time: Some(time),
                text: shown(source, words),
            },
            Err(_) => Self {
                time: None,
                text: shown(source, line),
            },
        }
    }
}

fn shown(source: &Source, words: &str) -> String {
    format!("{}  {}\n", source.prefix(), printable(words))
}

/// Prints what is written, until interrupted.
async fn follow(cluster: &Cluster, options: &Options, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let (sender, mut lines) = mpsc::channel::<String>(WAITING);
    let (mut known, mut readers) = (BTreeSet::new(), JoinSet::new());
    let mut looks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => terminal.print(&line)?,
            _ = looks.tick() => match cluster.pods(&options.name).await {
                Ok(pods) => {
                    for source in sources(&pods, &options.part) {
                        if known.insert(source.clone()) {
                            let parameters = options.parameters(&source.container);
                            readers.spawn(read(cluster.pod_api(), source, parameters, sender.clone()));
                        }
                    }
                }
                // The streams that stand go on; new pods are found when it answers again.
                Err(error) => terminal.progress(&error.to_string(), true),
            },
        }
    }
}

/// Sends the lines of a container until it ends.
async fn read(api: Api<Pod>, source: Source, parameters: LogParams, sender: mpsc::Sender<String>) {
    let failed = match api.log_stream(&source.pod, &parameters).await {
        Ok(stream) => send(stream.lines(), &source, &sender).await,
        Err(error) => Some(with_causes(&error)),
    };
    if let Some(words) = failed {
        let _ = sender.send(shown(&source, &format!("[{words}]"))).await;
    }
}

/// Sends lines, and returns why no more can be read.
async fn send(
    mut lines: Lines<impl futures::AsyncBufRead + Unpin>,
    source: &Source,
    sender: &mpsc::Sender<String>,
) -> Option<String> {
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => sender.send(shown(source, &line)).await.ok()?,
            Err(error) => return Some(error.to_string()),
        }
    }
    None
}
