//! A service that an earlier release has made, its users, and the callers that it has while operators change.

use std::time::{Duration, Instant};

use hello_e2e::cluster::wait::watch;
use hello_e2e::load::{Kind, Load, Report};
use hello_e2e::scenario::documented;
use hello_e2e::service::greeting;
use hello_e2e::service::hello::{READY_LIMIT, conditions, describe};
use hello_e2e::{Context, Hello, Result, Scenario, Seen, ensure};
use jiff::civil::Date;
use kube::ResourceExt;

use crate::expect_greeting;

/// The managed database is one server: callers wait, or get 503, while it is replaced.
const LONGEST_OUTAGE: Duration = Duration::from_secs(45);
/// The image of services without one, of the present release.
const PRESENT: &str = concat!("hello-app:", env!("CARGO_PKG_VERSION"));
/// Users of the first release. They must be there to the end.
const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// The service of the release's own sample, with users.
pub async fn first_service(s: &Scenario, manifest: &str) -> Result<Hello> {
    documented::apply(s, manifest).await?;
    let hello = Hello::named(s, "hello");
    hello.serving().await?;
    let http = hello.http().await?;
    for (user, born) in users() {
        http.must_put(user, born).await?;
    }
    Ok(hello)
}

fn users() -> impl Iterator<Item = (&'static str, Date)> {
    let numbered = USERS.into_iter().enumerate();
    numbered.map(|(number, user)| (user, greeting::birthday(number)))
}

/// The users of the first release are there.
pub async fn users_are_there(hello: &Hello) -> Result<()> {
    let http = hello.http().await?;
    for (user, born) in users() {
        expect_greeting(&http, user, born).await?;
    }
    Ok(())
}

/// Waits until the service is ready and runs the app of the present release.
pub async fn present(hello: &Hello) -> Result<()> {
    runs(hello, PRESENT).await
}

/// Waits until the service is ready and runs this image.
pub async fn runs(hello: &Hello, wanted: &str) -> Result<()> {
    let what = format!("Ready with {wanted}");
    watch(&hello.api(), &hello.name, &what, READY_LIMIT, |object| {
        let Some(object) = object else {
            return Seen::NotYet("no such resource".to_owned());
        };
        let mut all = conditions(&object).iter();
        let ready = all.any(|found| found.type_ == "Ready" && found.status == "True");
        let image = object
            .status
            .as_ref()
            .and_then(|status| status.image.as_deref());
        match ready && image == Some(wanted) {
            true => Seen::Done(()),
            false => Seen::NotYet(describe(&object)),
        }
    })
    .await
}

/// Runs a change while clients write and read, and reports what they saw. No acknowledged write may be lost, and requests may
/// fail only as they do while the database is away.
pub async fn under_load(
    s: &Scenario,
    hello: &Hello,
    what: &str,
    change: impl AsyncFnOnce() -> Result<()>,
) -> Result<Report> {
    let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
    load.answered(100).await?;
    let began = Instant::now();
    change().await?;
    let took = began.elapsed().as_secs_f64();
    load.answered(100).await?;
    let report = load.stop().await?;
    s.figure(format!("{what} in {took:.1} s: {}", report.summary()));
    report.ensure_nothing_lost()?;
    let mut outage = Duration::ZERO;
    for kind in [Kind::Write, Kind::Read] {
        let of_kind = report
            .outage(kind)
            .context("the service did not come back")?;
        outage = outage.max(of_kind);
    }
    // While the database is away the pods are not ready, and without a ready pod connections are refused.
    let refused = report.failed().iter().all(|record| {
        ["503 ", "not connected: "]
            .iter()
            .any(|start| record.outcome.starts_with(start))
    });
    ensure!(
        refused && outage <= LONGEST_OUTAGE,
        "{what}, unavailable for {outage:?}:\n{}",
        report.failures()
    );
    Ok(report)
}

/// Applying what is in the users' repositories is accepted and does nothing.
pub async fn yesterdays_manifest_changes_nothing(
    s: &Scenario,
    hello: &Hello,
    manifest: &str,
) -> Result<()> {
    let before = hello.get().await?;
    documented::apply(s, manifest).await?;
    let after = hello.get().await?;
    ensure!(
        before.metadata.generation == after.metadata.generation && before.uid() == after.uid(),
        "yesterday's manifest changes the resource"
    );
    ensure!(
        serde_json::to_value(&before.spec)? == serde_json::to_value(&after.spec)?,
        "yesterday's manifest changes the spec"
    );
    Ok(())
}
