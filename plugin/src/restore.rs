//! `kubectl hello restore`: orders a restore, follows it, and asks before rows are lost.

use clap::Args;
use hello_crds::{
    HelloRestore, HelloRestoreSpec, HelloRestoreStatus, IdentityRef, RestoreLoss, RestorePhase,
    RestoreSource, RestoredService, names,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    backup,
    cluster::Cluster,
    error::{Error, Exit, Result},
    follow::{Limit, Step, follow},
    terminal::Terminal,
    words::{count, moment},
};

/// Options of `restore`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service whose data comes back
    pub name: String,
    /// The backup: a name of `kubectl hello backups`, or `latest`
    #[arg(long, value_name = "SET", default_value = "latest")]
    pub from: String,
    /// Secret whose key `identity` opens an encrypted backup
    #[arg(long, value_name = "NAME")]
    pub identity_secret: Option<String>,
    /// Accept that rows are lost which the backup does not have, without a question
    #[arg(long)]
    pub accept_data_loss: bool,
    #[command(flatten)]
    pub limit: Limit,
}

/// Orders a restore and follows it to its end.
pub async fn run(
    cluster: &Cluster,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let service = cluster.service(&options.name).await?;
    backup::check(&service, |command| cluster.place.command(command))?;
    let restore = cluster.create_restore(&order(options)).await?;
    let name = restore.metadata.name.unwrap_or_default();
    terminal.report(&format!(
        "hellorestore/{name} is ordered; it goes on without this command"
    ));
    let mut state = wait(cluster, options, &name, terminal, false).await?;
    if state.phase == Some(RestorePhase::WaitingForConsent) {
        terminal.print(&loss_text(&state, Timestamp::now()))?;
        match terminal
            .ask("Replace the live data? Only `yes` does it, anything else keeps the live data:")
        {
            None => {
                terminal.report("nobody can be asked, so it waits");
                tell_next(cluster, options, &name, "WaitingForConsent", terminal);
                let delete = cluster
                    .place
                    .command(&format!("kubectl delete hellorestore {name}"));
                terminal.report(&format!("or:   {delete}"));
                return Ok(Exit::Unwell);
            }
            Some(false) => {
                cluster.delete_restore(&name).await?;
                terminal.report("the live data stays, and what was restored beside it is removed");
                return Ok(Exit::Unwell);
            }
            Some(true) => {
                cluster
                    .patch_restore(&name, &json!({"spec": {"acceptDataLoss": true}}))
                    .await?;
                state = wait(cluster, options, &name, terminal, true).await?;
            }
        }
    }
    conclude(cluster, options, &name, &state, terminal)
}

/// The resource that orders it. The API server gives it a name.
fn order(options: &Options) -> HelloRestore {
    let spec = HelloRestoreSpec {
        service: RestoredService {
            name: options.name.clone(),
        },
        source: RestoreSource {
            backup: options.from.clone(),
            destination: None,
            identity_secret_ref: options.identity_secret.as_deref().map(IdentityRef::new),
        },
        accept_data_loss: options.accept_data_loss,
    };
    let mut restore = HelloRestore::new("", spec);
    restore.metadata.name = None;
    restore.metadata.generate_name = Some("restore-".into());
    restore
}

/// Follows it until it has ended, or does not go on by itself.
async fn wait(
    cluster: &Cluster,
    options: &Options,
    name: &str,
    terminal: &mut Terminal<'_>,
    consented: bool,
) -> Result<HelloRestoreStatus> {
    let what = format!("hellorestore/{name}");
    follow(&what, options.limit, terminal, async || {
        let Some(restore) = cluster.restore(name).await? else {
            return Err(Error::Refused(format!("{what} was deleted")));
        };
        Ok(look(&restore, consented))
    })
    .await
}

/// How far it is.
fn look(restore: &HelloRestore, consented: bool) -> Step<HelloRestoreStatus> {
    let status = restore.status.clone().unwrap_or_default();
    let ready = status.condition("Ready");
    let stalled = status
        .condition("Stalled")
        .is_some_and(|c| c.status == "True");
    let is_current = status.observed_generation == restore.metadata.generation;
    let ended = match status.phase {
        Some(
            RestorePhase::Completed
            | RestorePhase::Undone
            | RestorePhase::Refused
            | RestorePhase::Failed,
        ) => true,
        // What was said before the consent is over.
        Some(RestorePhase::WaitingForConsent) => !consented,
        _ => stalled,
    };
    if ended && is_current {
        return Step::Ended(status);
    }
    let phase = status.phase.map_or("Pending", RestorePhase::as_str);
    let message = ready.map_or("the operator has not seen it yet", |c| &c.message);
    Step::Going(format!("{phase}: {message}"))
}

/// The end in words.
fn conclude(
    cluster: &Cluster,
    options: &Options,
    name: &str,
    state: &HelloRestoreStatus,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    if state.phase == Some(RestorePhase::Completed) {
        let set = state.backup.as_deref().unwrap_or("the backup");
        let rows = count(state.rows.unwrap_or(0), "row");
        terminal.print(&format!(
            "{set} serves, with {rows}\n{}",
            loss_text(state, Timestamp::now())
        ))?;
        let (undo, drop) = (names::UNDO_ANNOTATION, names::DROP_ANNOTATION);
        for (aim, annotation) in [
            ("undo it", format!("{undo}=true")),
            ("remove the former data", format!("{drop}=true")),
        ] {
            let command = format!("kubectl annotate hellorestore {name} {annotation}");
            terminal.report(&format!("to {aim}: {}", cluster.place.command(&command)));
        }
        return Ok(Exit::Well);
    }
    let phase = state.phase.map_or("Pending", RestorePhase::as_str);
    let why = state.condition("Ready");
    let (reason, message) = why.map_or(("", ""), |c| (&*c.reason, &*c.message));
    terminal.report(&format!(
        "hellorestore/{name} is {phase}: {reason}: {message}"
    ));
    tell_next(cluster, options, name, reason, terminal);
    Ok(Exit::Unwell)
}

fn tell_next(
    cluster: &Cluster,
    options: &Options,
    name: &str,
    reason: &str,
    terminal: &mut Terminal<'_>,
) {
    let next = cluster.place.next_of_restore(reason, name, &options.name);
    if let Some(next) = next {
        terminal.report(&format!("next: {next}"));
    }
}

/// What the swap loses, or has lost.
fn loss_text(state: &HelloRestoreStatus, now: Timestamp) -> String {
    let Some(RestoreLoss {
        added,
        changed,
        removed,
        since,
    }) = &state.loss
    else {
        return String::new();
    };
    let since = since
        .as_deref()
        .map(|time| format!(" since the backup, {}", moment(time, now)));
    format!(
        "lost:      {} added, {changed} changed{}\ncome back: {}\n",
        count(*added, "row"),
        since.unwrap_or_default(),
        count(*removed, "row")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restore(generation: i64, phase: &str, stalled: &str) -> HelloRestore {
        let condition = |type_: &str, status: &str| {
            json!({"type": type_, "status": status, "reason": "X", "message": "words",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        serde_json::from_value(json!({
            "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
            "metadata": {"name": "back", "generation": generation},
            "spec": {"service": {"name": "demo"}, "source": {"backup": "latest"}},
            "status": {"observedGeneration": 1, "phase": phase,
                "conditions": [condition("Ready", "False"), condition("Stalled", stalled)]},
        }))
        .unwrap()
    }

    fn ends(restore: &HelloRestore, consented: bool) -> bool {
        matches!(look(restore, consented), Step::Ended(_))
    }

    #[test]
    fn it_is_followed_until_it_ends_or_waits_for_a_person() {
        for (phase, stalled, expected) in [
            ("Pending", "False", false),
            ("Pending", "True", true),
            ("Staging", "False", false),
            ("WaitingForConsent", "True", true),
            ("Swapping", "False", false),
            ("Completed", "False", true),
            ("Refused", "True", true),
            ("Failed", "True", true),
        ] {
            assert_eq!(
                ends(&restore(1, phase, stalled), false),
                expected,
                "{phase}"
            );
        }
    }

    #[test]
    fn what_was_said_of_an_earlier_spec_is_no_end() {
        assert!(!ends(&restore(2, "WaitingForConsent", "True"), false));
        assert!(!ends(&restore(1, "WaitingForConsent", "True"), true));
        assert!(ends(&restore(1, "Failed", "True"), true));
        let unread = HelloRestore {
            status: None,
            ..restore(1, "Pending", "False")
        };
        assert!(!ends(&unread, false));
    }

    #[test]
    fn the_loss_is_counted_in_words() {
        let state: HelloRestoreStatus = serde_json::from_value(json!({
            "loss": {"added": 1, "changed": 2, "removed": 0, "since": "2026-01-01T00:00:00Z"},
        }))
        .unwrap();
        let text = loss_text(&state, "2026-01-01T03:00:00Z".parse().unwrap());
        assert_eq!(
            text,
            "lost:      1 row added, 2 changed since the backup, 3 h ago\ncome back: 0 rows\n"
        );
        let nothing = HelloRestoreStatus::default();
        assert_eq!(loss_text(&nothing, Timestamp::UNIX_EPOCH), "");
    }
}
