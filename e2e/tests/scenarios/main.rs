//! The end-to-end scenarios. `e2e/run` prepares the cluster and runs them. Those that take nodes or the operator away, and those
//! that measure, have the cluster to themselves (`alone`); the others run side by side.

mod ansible;
mod apply;
mod autoscaling;
mod backup;
mod certificates;
mod cloudnative_pg;
mod deletion;
mod documentation;
mod drain;
mod faults;
mod full_volume;
mod kill;
mod migration;
mod operator_cut;
mod read_only_volume;
mod refusal;
mod rest;
mod rollout;
mod small_volume;

use std::path::PathBuf;

use hello_e2e::greeting::{text, utc_today};
use hello_e2e::http::Http;
use hello_e2e::{Context, Result, ensure};
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
