//! `kubectl hello backup`: asks the operator for a backup, and follows it until it is proved.

use clap::Args;
use hello_crds::{BackupAttempt, BackupStatus, HelloService, names::BACKUP_REQUEST_ANNOTATION};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    cluster::Cluster,
    error::{Error, Exit, Result},
    follow::{Limit, Step, follow},
    status::backup_nodes,
    terminal::Terminal,
};

/// Options of `backup`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Wait until the backup is proved, or has failed
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub limit: Limit,
}

/// Requests a backup.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let name = &options.name;
    let service = cluster.service(name).await?;
    check(&service, |command| cluster.place.command(command))?;
    let before = backup_status(&service);
    // To the nanosecond: two requests are never the same one.
    let value = Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {BACKUP_REQUEST_ANNOTATION: value}}});
    cluster.patch_service(name, &patch).await?;
    terminal.report(&format!("a backup of {name} is requested"));
    if !options.wait {
        let next = cluster
            .place
            .command(&format!("kubectl hello status {name}"));
        terminal.report(&format!(
            "It starts when no other backup and no migration is at work: {next}"
        ));
        return Ok(Exit::Well);
    }
    let mut request = Request {
        value,
        before,
        started: None,
    };
    let what = format!("the backup of {name}");
    let attempt = follow(&what, options.limit, terminal, async || {
        request.look(&cluster.service(name).await?)
    })
    .await?;
    if attempt.reason != "Verified" {
        terminal.report(&format!(
            "the backup does not count: {}: {}",
            attempt.reason, attempt.message
        ));
        if let Some(next) = cluster.place.next(&attempt.reason, name) {
            terminal.report(&format!("next: {next}"));
        }
        return Ok(Exit::Unwell);
    }
    let status = cluster.service(name).await?.status.unwrap_or_default();
    let proved = backup_nodes(&status, Timestamp::now());
    for node in proved.iter().take(1) {
        terminal.print(&format!("{}: {}\n", node.name, node.text))?;
    }
    Ok(Exit::Well)
}

/// Whether a request would be fulfilled.
pub fn check(service: &HelloService, command: impl Fn(&str) -> String) -> Result<()> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    if service.spec.wanted_backup().is_none() {
        return Err(Error::Refused(format!(
            "no backups are wanted for HelloService {name}: spec.backup, see docs/recover.md\nSet it by `{}`",
            command(&format!("kubectl edit helloservice {name}"))
        )));
    }
    if service.spec.paused {
        return Err(Error::Refused(format!(
            "HelloService {name} is paused, so nothing is started\nTry `{}`",
            command(&format!("kubectl hello resume {name}"))
        )));
    }
    Ok(())
}

fn backup_status(service: &HelloService) -> BackupStatus {
    let status = service.status.as_ref();
    status
        .and_then(|status| status.backup.clone())
        .unwrap_or_default()
}

/// A request that is followed by the status alone, which everybody may read who may make one.
struct Request {
    value: String,
    before: BackupStatus,
    /// What was known when its Job was made: earlier backups have ended then.
    started: Option<BackupStatus>,
}

impl Request {
    fn look(&mut self, service: &HelloService) -> Result<Step<BackupAttempt>> {
        let now = backup_status(service);
        let Some(started) = &self.started else {
            let annotations = service.metadata.annotations.as_ref();
            let current = annotations.and_then(|all| all.get(BACKUP_REQUEST_ANNOTATION));
            if now.last_request != self.before.last_request && now.last_request.is_some() {
                let job = now.last_request.clone().unwrap_or_default();
                self.started = Some(now);
                return Ok(Step::Going(format!("Job {job}: dump, restore, compare")));
            }
            if current != Some(&self.value) {
                return Err(Error::Refused(
                    "another request came before this one had started: try again".into(),
                ));
            }
            let paused = service.spec.paused;
            let state = if paused {
                "the service was paused"
            } else {
                "waits for its turn"
            };
            return Ok(Step::Going(state.into()));
        };
        match now.last_attempt {
            Some(attempt) if Some(&attempt) != started.last_attempt.as_ref() => {
                Ok(Step::Ended(attempt))
            }
            _ => {
                let job = now.last_request.unwrap_or_default();
                Ok(Step::Going(format!("Job {job}: dump, restore, compare")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(annotation: &str, backup: serde_json::Value) -> HelloService {
        serde_json::from_value(json!({
            "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND,
            "metadata": {"name": "demo", "annotations": {BACKUP_REQUEST_ANNOTATION: annotation}},
            "spec": {"backup": {"schedule": "@daily"}}, "status": {"backup": backup},
        }))
        .unwrap()
    }

    /// How the looks at these states go: `…` for going on, else the reason of the end or the error.
    fn looks(before: serde_json::Value, states: &[HelloService]) -> Vec<String> {
        let before = serde_json::from_value(before).unwrap();
        let mut request = Request {
            value: "mine".into(),
            before,
            started: None,
        };
        let look = |state| match request.look(state) {
            Ok(Step::Going(_)) => "…".to_owned(),
            Ok(Step::Ended(attempt)) => attempt.reason,
            Err(error) => error.to_string(),
        };
        states.iter().map(look).collect()
    }

    #[test]
    fn only_the_end_of_the_requested_backup_counts() {
        let attempt = |time: &str, reason: &str| json!({"time": time, "reason": reason});
        let (old, other) = (attempt("1", "Verified"), attempt("2", "DumpFailed"));
        let before = json!({"lastRequest": "a", "lastAttempt": old});
        let states = [
            service("mine", before.clone()),
            // One of the schedule ends before ours begins.
            service("mine", json!({"lastRequest": "a", "lastAttempt": other})),
            service("mine", json!({"lastRequest": "b", "lastAttempt": other})),
            // Somebody asks for another one meanwhile.
            service("theirs", json!({"lastRequest": "b", "lastAttempt": other})),
            service(
                "theirs",
                json!({"lastRequest": "b", "lastAttempt": attempt("3", "Verified")}),
            ),
        ];
        assert_eq!(looks(before, &states), ["…", "…", "…", "…", "Verified"]);
    }

    #[test]
    fn a_request_that_another_one_replaced_is_an_error() {
        let found = looks(
            json!({}),
            &[service("mine", json!({})), service("theirs", json!({}))],
        );
        assert!(found[1].contains("try again"), "{found:?}");
    }

    #[test]
    fn what_would_not_be_fulfilled_is_not_asked_for() {
        let mut service = service("", json!({}));
        let command = |text: &str| text.to_owned();
        assert!(check(&service, command).is_ok());
        service.spec.paused = true;
        let error = check(&service, command).unwrap_err().to_string();
        assert!(error.contains("kubectl hello resume demo"), "{error}");
        service.spec.backup = Some(hello_crds::Backup {
            enabled: false,
            ..hello_crds::Backup::default()
        });
        let error = check(&service, command).unwrap_err().to_string();
        assert!(error.contains("spec.backup"), "{error}");
    }
}
