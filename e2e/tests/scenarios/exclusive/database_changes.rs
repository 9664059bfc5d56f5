//! Changes of the managed database that need a restart of its server: under load, no write is lost, and the server is
//! shut down cleanly each time.

use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::runs_image;
use hello_e2e::load::Load;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, ensure, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use serde_json::{Value, json};

#[tokio::test]
async fn parameters_and_image_of_the_database_change_and_no_write_is_lost() -> Result<()> {
    scenario::run("database_changes", async |s| {
        let next = std::env::var("HELLO_NEXT_POSTGRES_IMAGE")
            .context("HELLO_NEXT_POSTGRES_IMAGE is not set; run the scenarios by e2e/run")?;
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;

        let parameters = json!({"parameters": {"work_mem": "7MB"}});
        restarted(s, &hello, "new parameter", parameters).await?;
        let shown = psql(s, &hello, "SHOW work_mem").await?;
        ensure!(shown == "7MB", "work_mem is {shown}");

        restarted(s, &hello, "new image", json!({"image": next})).await?;
        let server: Pod = hello.child(&hello.database_pod()).await?;
        ensure!(runs_image(&server, &next), "the server does not run {next}");
        let shown = psql(s, &hello, "SHOW work_mem").await?;
        ensure!(shown == "7MB", "work_mem is {shown} after the new image");
        Ok(())
    })
    .await
}

/// Changes `database.managed` under load, and waits until a new server, which needed no recovery, serves.
async fn restarted(s: &Scenario, hello: &Hello, what: &str, managed: Value) -> Result<()> {
    let old: Pod = hello.child(&hello.database_pod()).await?;
    let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
    load.answered(100).await?;
    let began = Instant::now();
    hello
        .change(json!({"database": {"managed": managed}}))
        .await?;
    hello.ready(READY_LIMIT).await?;
    let took = began.elapsed();
    load.answered(100).await?;
    let report = load.stop().await?;
    s.figure(format!(
        "{what} after {:.1} s: {}",
        took.as_secs_f64(),
        report.summary()
    ));
    report.ensure_nothing_lost()?;

    let new: Pod = hello.child(&hello.database_pod()).await?;
    ensure!(
        old.metadata.uid != new.metadata.uid,
        "Ready, but the server is the old one"
    );
    let server = LogParams {
        container: Some("postgres".to_owned()),
        ..LogParams::default()
    };
    let log = s.api::<Pod>().logs(&hello.database_pod(), &server).await?;
    ensure!(
        log.contains("database system was shut down at") && !log.contains("not properly shut down"),
        "the server was not shut down cleanly:\n{log}"
    );
    Ok(())
}
