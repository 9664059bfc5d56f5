//! From 0.1.0 to the present release with kubectl, back, forward again, and the removal: under callers, with the programs and
//! manifests of both releases.

use std::time::Duration;

use hello_e2e::cluster::wait::gone;
use hello_e2e::scenario::documented;
use hello_e2e::scenario::jobs::{job_end, job_from, job_log};
use hello_e2e::scenario::script::Script;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Cluster, Hello, Result, Scenario, ensure, scenario};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::installation::{self, Release};
use super::service::{
    first_service, present, under_load, users_are_there, yesterdays_manifest_changes_nothing,
};
use super::state::{self, Kept};

const NAME: &str = "from_0_1_0";
/// The operator is installed five times, and the service rolled out three times.
const MORE_TIME: Duration = Duration::from_secs(600);
const BACKUP_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_service_of_0_1_0_goes_on_with_its_data() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "it replaces the operator and its definitions");
    }
    scenario::run_longer(NAME, MORE_TIME, async |s| {
        let release = Release::from_environment("HELLO_EARLIER_FIRST")?;
        installation::vacate(s).await?;
        release.install().await?;
        let manifest = release.sample(s)?;
        let hello = first_service(s, &manifest).await?;
        back_up_by_job(s).await?;
        let files = backups(s, &hello, "files-before").await?;

        upgraded(s, &hello).await?;
        yesterdays_manifest_changes_nothing(s, &hello, &manifest).await?;
        hello.back_up("after the upgrade").await?;
        let now = backups(s, &hello, "files-after").await?;
        let lost: Vec<_> = files.iter().filter(|file| !now.contains(file)).collect();
        ensure!(
            lost.is_empty() && now.len() > files.len(),
            "{files:?} became {now:?}"
        );

        back_and_forward(s, &hello, &release).await?;
        removed_and_installed_again(s, &hello, &manifest).await
    })
    .await
}

/// A backup as the page of that release makes it.
async fn back_up_by_job(s: &Scenario) -> Result<()> {
    job_from(s, "hello-backup", "hello-backup-now").await?;
    let (_, succeeded) = job_end(s, "hello-backup-now", BACKUP_LIMIT).await?;
    ensure!(
        succeeded,
        "the backup failed:\n{}",
        job_log(s, "hello-backup-now").await?
    );
    Ok(())
}

/// The files on the volume of the backups.
async fn backups(s: &Scenario, hello: &Hello, name: &str) -> Result<Vec<String>> {
    let reader = Script {
        name,
        image: &hello.postgres_image().await?,
        script: "ls /backups",
        backups: Some("hello-backup"),
    };
    let printed = reader.run(s, Duration::from_secs(60)).await?;
    let files: Vec<String> = printed.split_whitespace().map(str::to_owned).collect();
    ensure!(!files.is_empty(), "there is no backup");
    Ok(files)
}

/// The upgrade itself: each pod is replaced once, and everything else stays.
async fn upgraded(s: &Scenario, hello: &Hello) -> Result<()> {
    let before = Kept::all(s).await?;
    ensure!(
        state::templates(s).await? == (1, 1),
        "the first pods are not the first"
    );
    under_load(s, hello, "upgrade", async || {
        installation::upgrade().await?;
        present(hello).await
    })
    .await?;
    before.ensure_same(&Kept::all(s).await?, "after the upgrade")?;
    let templates = state::templates(s).await?;
    ensure!(
        templates == (2, 2),
        "templates of app and database so far: {templates:?}, not 2 each"
    );
    state::ensure_no_crash(hello).await?;
    state::ensure_one_stored_version(s).await?;
    users_are_there(hello).await
}

/// The operator of 0.1.0 again, and then the present one: it refuses a service that a later one has managed, nothing is
/// changed, and no request fails.
async fn back_and_forward(s: &Scenario, hello: &Hello, release: &Release) -> Result<()> {
    let before = Kept::all(s).await?;
    let pods = hello.starts().await?;
    let report = under_load(s, hello, "the operator of 0.1.0 again", async || {
        release.install().await?;
        let refused = |ready: &Condition| {
            ready.reason == "Conflict" && ready.message.contains("hello-credentials")
        };
        hello.condition("Ready", READY_LIMIT, refused).await?;
        Ok(())
    })
    .await?;
    report.ensure_none_failed()?;
    let report = under_load(s, hello, "forward again", async || {
        installation::upgrade().await?;
        present(hello).await
    })
    .await?;
    report.ensure_none_failed()?;
    before.ensure_same(&Kept::all(s).await?, "after the way back and forward")?;
    hello.ensure_not_started_again(&pods).await?;
    users_are_there(hello).await
}

/// The removal of service and operator keeps data, backups and credentials, and a new installation goes on with them.
async fn removed_and_installed_again(s: &Scenario, hello: &Hello, manifest: &str) -> Result<()> {
    let before = Kept::all(s).await?;
    installation::remove().await?;
    gone(&s.api::<Deployment>(), "hello", READY_LIMIT).await?;
    gone(&s.api::<StatefulSet>(), "hello-db", READY_LIMIT).await?;
    before.ensure_same(&Kept::data(s).await?, "after the removal")?;
    s.progress("removed: data, backups and credentials are still there");
    installation::upgrade().await?;
    documented::apply(s, manifest).await?;
    hello.serving().await?;
    before.ensure_same(&Kept::data(s).await?, "after another installation")?;
    users_are_there(hello).await
}
