//! The playbooks on the real cluster.

use std::time::Duration;

use hello_e2e::cluster::command;
use hello_e2e::{Result, scenario};

use crate::repository;

#[tokio::test]
async fn the_playbooks_deploy_and_change_nothing_the_second_time() -> Result<()> {
    scenario::run("ansible", async |s| {
        let script = repository().join("ansible/test");
        let printed = command::output(
            &script.to_string_lossy(),
            &[] as &[&str],
            "",
            Duration::from_secs(400),
        )
        .await?;
        for line in printed
            .lines()
            .rev()
            .take(12)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            s.progress(line);
        }
        Ok(())
    })
    .await
}
