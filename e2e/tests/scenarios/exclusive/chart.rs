//! The Helm chart on the real cluster, in place of what kubectl has installed.

use std::time::Duration;

use hello_e2e::cluster::command;
use hello_e2e::{Result, scenario};

use crate::repository;

#[tokio::test]
async fn the_chart_installs_and_removes_the_operator_under_a_service() -> Result<()> {
    scenario::run("chart", async |s| {
        let script = repository().join("manifests/charts/test");
        let limit = Duration::from_secs(400);
        let printed = command::output(&script.to_string_lossy(), &[] as &[&str], "", limit).await?;
        for line in printed.lines() {
            s.progress(line);
        }
        if let Some(requests) = printed.lines().find(|line| line.starts_with("requests: ")) {
            s.figure(format!("{requests}, all answered"));
        }
        Ok(())
    })
    .await
}
