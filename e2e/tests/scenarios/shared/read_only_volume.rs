//! A database whose volume has become read-only, as a file system does after an error of its disk.

use std::time::{Duration, Instant};

use hello_e2e::cluster::command;
use hello_e2e::service::greeting;
use hello_e2e::{Cluster, Result, ensure, scenario};

use super::small_volume::SmallVolume;
use crate::expect_greeting;

const NAME: &str = "read_only_volume";

/// A file system becomes read-only only while no file is open for writing: between the end of the server and its
/// restart. The restart is in the same pod: in a new pod, the kubelet would mount the volume read-only for the pod's
/// whole life.
const TURN_READ_ONLY: &str =
    "for _ in $(seq 2000); do mount -o remount,ro . && exit 0; sleep 0.02; done; exit 1";

#[tokio::test]
async fn a_read_only_volume_is_reported_until_it_is_writable() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "it needs a file system of its own on a node");
    }
    scenario::run(NAME, async |s| {
        let volume = SmallVolume::make(s).await?;
        let born = greeting::born_in(30);
        let hello = volume.service(s, born).await?;

        let pod = hello.database_pod();
        let stop = [
            "--namespace",
            &s.namespace,
            "exec",
            &pod,
            "--container=postgres",
            "--",
            "sh",
            "-c",
            "kill -INT 1",
        ];
        let (turned, stopped) =
            tokio::join!(volume.run(s, TURN_READ_ONLY), command::kubectl(&stop));
        stopped?;
        turned?;
        let began = Instant::now();
        hello
            .condition("DatabaseReady", Duration::from_secs(60), |database| {
                database.status == "False" && database.message.contains("Read-only file system")
            })
            .await?;
        s.figure(format!(
            "read-only volume reported after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        let answer = hello.http().await?.put("bob", born).await;
        let refused = answer
            .as_ref()
            .is_ok_and(|answer| answer.status.as_u16() == 503);
        ensure!(
            refused || answer.is_err(),
            "a write without a database answered {answer:?}"
        );

        volume.run(s, "mount -o remount,rw .").await?;
        let writable = Instant::now();
        hello.serving().await?;
        s.figure(format!(
            "Ready {:.1} s after it was writable",
            writable.elapsed().as_secs_f64()
        ));
        expect_greeting(&hello.http().await?, "alice", born).await
    })
    .await
}
