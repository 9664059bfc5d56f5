//! The end-to-end scenarios. `e2e/run` prepares the cluster and runs them in phases, by their folders:
//!
//! - `shared`: those that stay in their namespaces, side by side
//! - `exclusive`: those that disrupt nodes or the operator, or that measure, one after the other
//! - `last`: those that check the whole run
//! - `front`: what stands in front of a service; only `make test-front` runs it
//! - `earlier`: upgrades from earlier releases; only `make test-upgrade` runs it

mod earlier;
mod exclusive;
mod front;
mod last;
mod shared;

use std::path::PathBuf;
use std::time::Duration;

use hello_e2e::cluster::command;
use hello_e2e::service::greeting::{text, utc_today};
use hello_e2e::service::http::Http;
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

/// Calls `install` or `remove` of the add-on that has the name of the scenario. `e2e/run` has prepared it.
async fn addon(name: &str, action: &str) -> Result<()> {
    let script = repository().join(format!("e2e/addons/{}/addon", name.replace('_', "-")));
    let script = script.to_str().context("the checkout's path is no text")?;
    command::output(script, &[action], "", Duration::from_secs(150)).await?;
    Ok(())
}

/// The greeting of `user` is exactly the text for this date of birth.
async fn expect_greeting(http: &Http, user: &str, born: Date) -> Result<()> {
    let before = utc_today();
    let greeting = http.must_get(user).await?;
    // Both days are right when midnight falls between the request and the answer.
    let right = [before, utc_today()].map(|today| text(user, born, today));
    ensure!(
        right.contains(&greeting),
        "the greeting is {greeting:?}, not {:?}",
        right[0]
    );
    Ok(())
}
