//! The end-to-end scenarios. `e2e/run` prepares the cluster and runs them. Those that take nodes or the operator away, and those
//! that measure, have the cluster to themselves (`alone`); the others run side by side.

mod ansible;
mod apply;
mod autoscaling;
mod backup;
mod certificates;
mod cloudnative_pg;
mod database_changes;
mod deletion;
mod documentation;
mod drain;
mod external;
mod faults;
mod full_volume;
mod kill;
mod migration;
mod network_policy;
mod operator_cut;
mod optional_apis;
mod read_only_volume;
mod refusal;
mod rest;
mod rights;
mod rollout;
mod small_volume;

use std::path::PathBuf;
use std::time::Duration;

use hello_e2e::greeting::{text, utc_today};
use hello_e2e::http::Http;
use hello_e2e::{Context, Result, command, ensure};
use jiff::civil::Date;

/// The top of the checkout.
fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A second image of the app, which the cluster's nodes have or can pull.
fn next_image() -> Result<String> {
    std::env::var("HELLO_NEXT_IMAGE")
        .context("HELLO_NEXT_IMAGE is not set; run the scenarios by e2e/run")
}

/// Calls the script of what only the scenario `name` needs: `install` or `remove`. `e2e/run` has prepared it.
async fn engine(name: &str, what: &str) -> Result<()> {
    let script = repository().join(format!("e2e/{}/engine", name.replace('_', "-")));
    let script = script.to_str().context("the checkout's path is no text")?;
    command::output(script, &[what], "", Duration::from_secs(150)).await?;
    Ok(())
}

/// The greeting of `user` is exactly the text for this date of birth.
async fn expect_greeting(http: &Http, user: &str, born: Date) -> Result<()> {
    let before = utc_today();
    let greeting = http.must_get(user).await?;
    // Two days are right when midnight falls between the request and the answer.
    let right = [before, utc_today()].map(|today| text(user, born, today));
    ensure!(
        right.contains(&greeting),
        "the greeting is {greeting:?}, not {:?}",
        right[0]
    );
    Ok(())
}
