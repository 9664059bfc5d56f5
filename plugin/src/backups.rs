//! `kubectl hello backups`: what is known of the backups of a service, and where their files are.

use clap::Args;
use hello_crds::HelloService;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde::Serialize;

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result},
    status::{Format, Mark, Node, Report, backup_nodes, json, tree},
    terminal::Terminal,
    words::{destination, duration, moment},
};

/// Options of `backups`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
}

/// Shows the backups.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let service = cluster.service(&options.name).await?;
    let jobs = cluster.backup_jobs(&options.name).await;
    let jobs = jobs.map_err(|error| error.to_string());
    let Some(backups) = Backups::new(&service, &jobs, &cluster.namespace, Timestamp::now()) else {
        return Err(Error::Refused(format!(
            "no backups are wanted for HelloService {}: spec.backup, see docs/recover.md",
            options.name
        )));
    };
    let text = match options.output {
        Format::Json => json(&backups),
        Format::Text => backups.text(terminal.color),
    };
    terminal.print(&text)?;
    let proved = service
        .status
        .and_then(|status| status.backup?.last_verified);
    Ok(if proved.is_some() {
        Exit::Well
    } else {
        Exit::Unwell
    })
}

/// What is known of the backups.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Backups {
    name: String,
    namespace: String,
    /// Where the files are.
    destination: String,
    state: Vec<Node>,
    /// Runs whose Jobs exist, the newest first.
    runs: Vec<Node>,
}

impl Backups {
    fn new(
        service: &HelloService,
        jobs: &Result<Vec<Job>, String>,
        namespace: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let runs = match jobs {
            Err(reason) => vec![Node::new("runs", Mark::Unknown, reason)],
            Ok(jobs) => {
                let mut jobs: Vec<&Job> = jobs.iter().collect();
                jobs.sort_by_key(|job| std::cmp::Reverse(created(job)));
                jobs.into_iter().map(|job| run_node(job, now)).collect()
            }
        };
        Some(Self {
            name: service.metadata.name.clone().unwrap_or_default(),
            namespace: namespace.to_owned(),
            destination: destination(service, namespace)?,
            state: backup_nodes(&service.status.clone().unwrap_or_default(), now),
            runs,
        })
    }

    fn text(&self, color: bool) -> String {
        let mut parts = self.state.clone();
        parts.push(Node::new("where", Mark::Good, &self.destination));
        parts.extend(self.runs.iter().cloned());
        let report = Report {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            well: true,
            state: "Backups".into(),
            mark: parts[0].mark,
            version: None,
            endpoint: None,
            parts,
            problems: vec![],
        };
        tree(&report, color)
            + "\nThe names of all files: docs/plugin.md, \"Which backups are there?\"\n"
    }
}

fn created(job: &Job) -> Option<Timestamp> {
    Some(job.metadata.creation_timestamp.as_ref()?.0)
}

fn run_node(job: &Job, now: Timestamp) -> Node {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ended = |type_: &str| {
        let mut all = conditions.iter();
        all.find(|condition| condition.type_ == type_ && condition.status == "True")
    };
    let (mark, state) = match (ended("Complete"), ended("Failed")) {
        (Some(_), _) => (Mark::Good, "succeeded".to_owned()),
        (None, Some(condition)) => {
            let reason = condition.reason.as_deref().unwrap_or_default();
            (Mark::Bad, format!("failed: {reason}"))
        }
        (None, None) if status.active.unwrap_or(0) > 0 => (Mark::Busy, "runs".to_owned()),
        (None, None) => (Mark::Busy, "waits".to_owned()),
    };
    let mut text = vec![state];
    text.extend(created(job).map(|time| moment(&time.to_string(), now)));
    if let (Some(start), Some(end)) = (status.start_time, status.completion_time) {
        text.push(format!("took {}", duration(end.0.duration_since(start.0))));
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    Node::new(name, mark, text.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_those_of_the_status_and_of_the_jobs() {
        let read = |name: &str| {
            let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let all: serde_yaml::Value = serde_yaml::from_str(&read("status/well.yaml")).unwrap();
        let service: HelloService = serde_yaml::from_value(all["service"].clone()).unwrap();
        let jobs: Vec<Job> = serde_yaml::from_str(&read("jobs.yaml")).unwrap();
        let now = "2026-01-01T05:00:00Z".parse().unwrap();
        let backups = Backups::new(&service, &Ok(jobs), "team-a", now).unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/backups.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, backups.text(false)).unwrap();
        }
        assert_eq!(backups.text(false), read("backups.txt"));

        let refused = Backups::new(&service, &Err("may not".into()), "team-a", now).unwrap();
        assert!(
            refused.text(false).contains("? runs          may not"),
            "{}",
            refused.text(false)
        );
        let mut without = service;
        without.spec.backup = Some(hello_crds::Backup {
            enabled: false,
            ..hello_crds::Backup::default()
        });
        assert_eq!(Backups::new(&without, &Ok(vec![]), "team-a", now), None);
    }
}
