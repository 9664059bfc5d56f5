//! A restore by a HelloRestore: what is lost is counted and asked about, and it can be undone.

use std::time::Duration;

use hello_crds::{HelloRestore, HelloRestoreStatus, RestorePhase};
use hello_e2e::cluster::wait::{Seen, watch};
use hello_e2e::scenario::jobs::{job_end, job_from};
use hello_e2e::service::greeting;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, ensure, scenario};
use jiff::civil::Date;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::expect_greeting;

const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_wrong_delete_is_restored_asked_about_and_undone() -> Result<()> {
    scenario::run("restored", async |s| {
        let spec = json!({"replicas": 1, "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        let http = hello.http().await?;
        let (kept, later) = (greeting::born_in(5), greeting::born_in(7));
        for user in ["alice", "carol"] {
            http.must_put(user, kept).await?;
        }
        job_from(s, "hello-backup", "by-hand").await?;
        let (_, succeeded) = job_end(s, "by-hand", LIMIT).await?;
        ensure!(succeeded, "the backup failed");
        psql(s, &hello, "DELETE FROM users WHERE username = 'alice'").await?;
        http.must_put("bob", later).await?;

        let restore = order(s).await?;
        let waiting = reached(&restore, RestorePhase::WaitingForConsent, None).await?;
        let loss = waiting.loss.context("no loss is counted")?;
        ensure!(
            (loss.added, loss.changed, loss.removed) == (1, 0, 1),
            "{loss:?}"
        );
        // Nothing is changed yet.
        expect_greeting(&http, "bob", later).await?;
        change(&restore, json!({"spec": {"acceptDataLoss": true}})).await?;
        let done = reached(&restore, RestorePhase::Completed, None).await?;
        ensure!(done.previous.is_some(), "{done:?}");
        for user in ["alice", "carol"] {
            expect_greeting(&http, user, kept).await?;
        }
        let bob = http.get("bob").await?;
        ensure!(bob.status == 404, "{bob:?}");
        hello.ready(Duration::from_secs(10)).await?;

        // The restored service takes writes, and they are asked about, too.
        http.must_put("dave", later).await?;
        let undo =
            |value: &str| json!({"metadata": {"annotations": {"hello.internal/undo": value}}});
        change(&restore, undo("true")).await?;
        let reason = Some("LossNotAccepted");
        reached(&restore, RestorePhase::Completed, reason).await?;
        expect_greeting(&http, "dave", later).await?;
        change(&restore, undo("accept-data-loss")).await?;
        reached(&restore, RestorePhase::Undone, None).await?;
        expect_greeting(&http, "bob", later).await?;
        for user in ["alice", "dave"] {
            let gone = http.get(user).await?;
            ensure!(gone.status == 404, "{user}: {gone:?}");
        }
        hello.ready(Duration::from_secs(10)).await?;
        clone(s, kept).await
    })
    .await
}

/// A new service starts with the data of that backup, once its claim is named rightly.
async fn clone(s: &Scenario, kept: Date) -> Result<()> {
    let from = |claim: &str| {
        let volume = json!({"claimName": claim});
        let source = json!({"backup": "latest", "destination": {"volume": volume}});
        let managed = json!({"bootstrap": {"fromBackup": source}});
        json!({"replicas": 1, "database": {"managed": managed}})
    };
    Hello::apply(s, "clone", from("hello-backups")).await?;
    let restores: Api<HelloRestore> = s.api();
    let what = "the wrong claim is named";
    watch(&restores, "clone-bootstrap", what, LIMIT, |restore| {
        let status = restore.and_then(|restore| restore.status);
        match status.as_ref().and_then(HelloRestoreStatus::ready) {
            Some(ready) if ready.reason == "SourceInvalid" => Seen::Done(()),
            _ => Seen::not_yet(status),
        }
    })
    .await?;
    let clone = Hello::apply(s, "clone", from("hello-backup")).await?;
    clone.serving().await?;
    let http = clone.http().await?;
    for user in ["alice", "carol"] {
        expect_greeting(&http, user, kept).await?;
    }
    let later = http.get("bob").await?;
    ensure!(later.status == 404, "{later:?}");
    Ok(())
}

async fn order(s: &Scenario) -> Result<Api<HelloRestore>> {
    let restores: Api<HelloRestore> = s.api();
    let spec = json!({"service": {"name": "hello"}, "source": {"backup": "latest"}});
    let body = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": "back"}, "spec": spec});
    let (parameters, patch) = (PatchParams::apply("e2e").force(), Patch::Apply(body));
    restores.patch("back", &parameters, &patch).await?;
    Ok(restores)
}

async fn change(restores: &Api<HelloRestore>, change: Value) -> Result<()> {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
    restores.patch("back", &parameters, &patch).await?;
    Ok(())
}

/// Waits for a phase, with this reason where one is given.
async fn reached(
    restores: &Api<HelloRestore>,
    phase: RestorePhase,
    reason: Option<&str>,
) -> Result<HelloRestoreStatus> {
    let what = format!("{phase:?} {}", reason.unwrap_or_default());
    watch(restores, "back", &what, LIMIT, |restore| {
        let Some(status) = restore.and_then(|restore| restore.status) else {
            return Seen::NotYet("no status".into());
        };
        let ready = status.conditions.first();
        let is = reason.is_none_or(|reason| ready.is_some_and(|ready| ready.reason == reason));
        match status.phase == Some(phase) && is {
            true => Seen::Done(status),
            false => Seen::not_yet(status),
        }
    })
    .await
}
