//! Backups in buckets behind TLS, on a network that enforces policies. A namespace is lost with its volumes, and everything
//! comes back from the bucket. Another bucket is gone for a while, which only the backups notice.

mod gone;
mod lost;
mod store;

use std::time::Duration;

use hello_e2e::cluster::wait::poll;
use hello_e2e::service::greeting::birthday;
use hello_e2e::service::psql::psql;
use hello_e2e::{Cluster, Hello, Result, Scenario, Seen, ensure, scenario};
use serde_json::Value;

use self::store::Access;
use crate::{addon, expect_greeting};

const NAME: &str = "object_storage";
/// The add-on of another scenario, which this one needs, too.
const POLICIES: &str = "network_policy";
/// It starts five databases and waits for the retries of a Job.
const MORE: Duration = Duration::from_secs(120);
/// How many users each service has.
const PEOPLE: usize = 20;

#[tokio::test]
async fn a_lost_namespace_comes_back_from_its_bucket_and_a_lost_bucket_stops_only_backups()
-> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "its nodes have no image of an S3 server");
    }
    scenario::run_longer(NAME, MORE, async |s| {
        tokio::try_join!(install(s, POLICIES), install(s, NAME))?;
        let access = Access::read(s).await?;
        tokio::try_join!(
            lost::everything_comes_back(s, &access),
            gone::only_backups_notice(s, &access)
        )?;
        Ok(())
    })
    .await
}

async fn install(s: &Scenario, name: &'static str) -> Result<()> {
    s.defer(&format!("remove the add-on {name}"), async move {
        addon(name, "remove").await
    });
    addon(name, "install").await
}

/// A service that serves, with data in it.
async fn filled(s: &Scenario, name: &str, spec: Value) -> Result<Hello> {
    let hello = Hello::apply(s, name, spec).await?;
    hello.serving().await?;
    let http = hello.http().await?;
    for number in 0..PEOPLE {
        http.must_put(&person(number), birthday(number)).await?;
    }
    Ok(hello)
}

/// The service has the data of [`filled`], nothing else, and takes writes.
async fn ensure_filled(s: &Scenario, hello: &Hello) -> Result<()> {
    let http = hello.http().await?;
    for number in 0..PEOPLE {
        expect_greeting(&http, &person(number), birthday(number)).await?;
    }
    let rows = psql(s, hello, "SELECT count(*) FROM users").await?;
    ensure!(
        rows == PEOPLE.to_string(),
        "{} has {rows} users, not {PEOPLE}",
        hello.name
    );
    http.must_put("later", birthday(PEOPLE)).await?;
    expect_greeting(&http, "later", birthday(PEOPLE)).await
}

/// Names have letters only.
fn person(number: usize) -> String {
    format!("person{}", "x".repeat(number + 1))
}

/// Waits until the names of the files that a store has for a service are as wanted.
async fn stored(
    s: &Scenario,
    store: &str,
    prefix: &str,
    wanted: impl Fn(&[String]) -> bool,
) -> Result<()> {
    let what = format!("the wanted files in {store} under {prefix}");
    poll(&what, Duration::from_secs(10), async || {
        let names = store::files(s, store, prefix).await?;
        Ok(match wanted(&names) {
            true => Seen::Done(()),
            false => Seen::not_yet(names),
        })
    })
    .await
}
