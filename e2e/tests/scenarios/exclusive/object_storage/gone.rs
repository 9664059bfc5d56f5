//! The bucket is gone for a while: the backups fail and say why, everything else goes on, and the backups come back by
//! themselves.

use std::time::{Duration, Instant};

use hello_crds::HelloService;
use hello_e2e::cluster::wait::poll;
use hello_e2e::scenario::jobs::job_log;
use hello_e2e::service::backups::{backup_status, verified};
use hello_e2e::service::greeting::birthday;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, ensure};
use serde_json::json;

use super::store::{Access, OTHER_STORE, destination, host, set_running};
use super::{filled, stored};

const PREFIX: &str = "steady";

pub async fn only_backups_notice(s: &Scenario, access: &Access) -> Result<()> {
    access.hand_to(s).await?;
    let spec = json!({"replicas": 1, "backup": {
        "schedule": "0 2 * * *", "destination": destination(OTHER_STORE, PREFIX),
    }});
    let hello = filled(s, "steady", spec).await?;
    let before = hello.back_up("before it is gone").await?;
    let starts = hello.starts().await?;

    set_running(OTHER_STORE, false).await?;
    let began = Instant::now();
    hello.request_backup("while it is gone").await?;
    let failed = hello.backups_reported("DestinationUnreachable").await?;
    s.figure(format!(
        "a bucket that is gone is reported {:.1} s after the request",
        began.elapsed().as_secs_f64()
    ));
    // Words of a program that has a Secret are not quoted in the status: they are in its log.
    let job = backup_status(&failed).and_then(|backup| backup.last_request.clone());
    let log = job_log(s, &job.context("no request is known")?).await?;
    ensure!(
        log.contains(&host(OTHER_STORE)),
        "the log does not name the store: {log}"
    );
    ensure!(verified(&failed) == Some(before.clone()), "{failed:?}");
    hello.ready(Duration::from_secs(10)).await?;
    let http = hello.http().await?;
    http.must_put("meanwhile", birthday(7)).await?;

    // A run that begins while the bucket is still gone succeeds once it is back.
    hello.request_backup("still gone").await?;
    first_try_failed(&hello, &failed).await?;
    set_running(OTHER_STORE, true).await?;
    let began = Instant::now();
    let healed = hello.backups_reported("Verified").await?;
    s.figure(format!(
        "the backup is made by itself {:.1} s after the bucket is back",
        began.elapsed().as_secs_f64()
    ));
    let after = verified(&healed).context("nothing is verified")?;
    ensure!(after.file > before.file, "{after:?} follows {before:?}");
    let manifests = [before, after].map(|backup| format!("{}.json", backup.file));
    stored(s, OTHER_STORE, PREFIX, |names| {
        manifests.iter().all(|manifest| names.contains(manifest))
    })
    .await?;
    hello.ensure_not_started_again(&starts).await
}

/// Waits until one pod of the next requested backup has failed. Its Job tries again.
async fn first_try_failed(hello: &Hello, before: &HelloService) -> Result<()> {
    let request = |object: &HelloService| {
        backup_status(object).and_then(|backup| backup.last_request.clone())
    };
    let former = request(before);
    poll("a try to fail", Duration::from_secs(45), async || {
        let object = hello.get().await?;
        let newest = request(&object);
        let pods = hello.pods("backup").await?;
        let phases: Vec<_> = pods
            .iter()
            .filter(|pod| {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name"))
                    == newest.as_ref()
            })
            .filter_map(|pod| pod.status.as_ref()?.phase.clone())
            .collect();
        let failed = phases.iter().any(|phase| phase == "Failed");
        Ok(match failed && newest != former {
            true => Seen::Done(()),
            false => Seen::not_yet((newest, phases)),
        })
    })
    .await
}
