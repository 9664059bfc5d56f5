//! From a release with the Helm chart and with HelloRestore to the present one, while a restore waits for consent; back by
//! Helm, forward again, and the removal.

use std::time::Duration;

use hello_crds::{HelloRestore, HelloRestoreStatus, RestorePhase};
use hello_e2e::cluster::wait::watch;
use hello_e2e::service::greeting;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::service::psql::psql;
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, ensure, scenario};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::installation::{self, Release};
use super::service::{
    first_service, present, runs, under_load, users_are_there, yesterdays_manifest_changes_nothing,
};
use super::state::{self, Kept};

const NAME: &str = "from_a_chart";
/// Four rollouts of the operator, each with one of the service.
const MORE_TIME: Duration = Duration::from_secs(600);
const RESTORE_LIMIT: Duration = Duration::from_secs(180);
const RESTORE: &str = "back";

#[tokio::test]
async fn a_pending_restore_goes_on_after_an_upgrade_by_helm() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "it replaces the operator and its definitions");
    }
    scenario::run_longer(NAME, MORE_TIME, async |s| {
        let release = Release::from_environment("HELLO_EARLIER_CHART")?;
        installation::vacate(s).await?;
        release.install_chart().await?;
        let manifest = release.sample(s)?;
        let hello = first_service(s, &manifest).await?;
        hello.back_up("before the upgrade").await?;
        psql(s, &hello, "DELETE FROM users WHERE username = 'alice'").await?;
        // What the restore would lose, so that it asks.
        let http = hello.http().await?;
        http.must_put("later", greeting::born_in(7)).await?;
        let restores = order(s).await?;
        let waiting = reached(&restores, RestorePhase::WaitingForConsent).await?;
        let before = Kept::all(s).await?;

        upgraded(s, &hello, "upgrade").await?;
        before.ensure_same(&Kept::all(s).await?, "after the upgrade")?;
        state::ensure_no_crash(&hello).await?;
        state::ensure_one_stored_version(s).await?;
        yesterdays_manifest_changes_nothing(s, &hello, &manifest).await?;
        still_waits(&restores, &waiting).await?;

        under_load(s, &hello, "back by Helm", async || {
            installation::roll_back_chart().await?;
            runs(&hello, &release.app()).await
        })
        .await?;
        still_waits(&restores, &waiting).await?;
        upgraded(s, &hello, "forward again").await?;
        before.ensure_same(&Kept::all(s).await?, "after the way back and forward")?;

        still_waits(&restores, &waiting).await?;
        change(&restores, json!({"spec": {"acceptDataLoss": true}})).await?;
        reached(&restores, RestorePhase::Completed).await?;
        hello.ready(READY_LIMIT).await?;
        users_are_there(&hello).await?;
        s.progress("the restore was accepted after the upgrade, and is completed");

        installation::remove_chart().await?;
        before.ensure_same(&Kept::all(s).await?, "after the removal")?;
        users_are_there(&hello).await
    })
    .await
}

async fn upgraded(s: &Scenario, hello: &Hello, what: &str) -> Result<()> {
    under_load(s, hello, what, async || {
        installation::upgrade_chart().await?;
        present(hello).await
    })
    .await?;
    Ok(())
}

async fn order(s: &Scenario) -> Result<Api<HelloRestore>> {
    let restores: Api<HelloRestore> = s.api();
    let spec = json!({"service": {"name": "hello"}, "source": {"backup": "latest"}});
    let body = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": RESTORE}, "spec": spec});
    let (parameters, patch) = (PatchParams::apply("e2e").force(), Patch::Apply(body));
    restores.patch(RESTORE, &parameters, &patch).await?;
    Ok(restores)
}

async fn change(restores: &Api<HelloRestore>, change: Value) -> Result<()> {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
    restores.patch(RESTORE, &parameters, &patch).await?;
    Ok(())
}

/// Waits for a phase.
async fn reached(restores: &Api<HelloRestore>, phase: RestorePhase) -> Result<HelloRestoreStatus> {
    let what = format!("the restore to be {phase:?}");
    watch(restores, RESTORE, &what, RESTORE_LIMIT, |restore| {
        let status = restore.and_then(|restore| restore.status);
        match status {
            Some(status) if status.phase == Some(phase) => Seen::Done(status),
            status => Seen::not_yet(status),
        }
    })
    .await
}

/// The restore waits for consent, with the backup that was chosen in the beginning.
async fn still_waits(restores: &Api<HelloRestore>, before: &HelloRestoreStatus) -> Result<()> {
    let now = restores.get(RESTORE).await?.status;
    let now = now.context("the restore has lost its status")?;
    ensure!(
        now.phase == before.phase && now.backup == before.backup,
        "the restore was {before:?} and is {now:?}"
    );
    Ok(())
}
