//! A database whose volume is really full: a small file system on a node, filled.

use std::time::{Duration, Instant};

use hello_e2e::service::greeting;
use hello_e2e::service::psql::psql;
use hello_e2e::{Cluster, Result, ensure, scenario};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::small_volume::SmallVolume;
use crate::expect_greeting;

const NAME: &str = "full_volume";

/// Writes to the log, and switches to the next segment.
const NEW_SEGMENT: &str =
    "select pg_logical_emit_message(true, 'e2e', 'x'); select pg_switch_wal();";

#[tokio::test]
async fn a_full_volume_is_reported_until_there_is_room() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "it needs a file system of its own on a node");
    }
    scenario::run(NAME, async |s| {
        let volume = SmallVolume::make(s).await?;
        let born = greeting::born_in(30);
        let hello = volume.service(s, born).await?;

        // Reported in time, while everything still works, and cleared when there is room.
        let nearly = "set -- $(df -Pm . | tail -1); dd if=/dev/zero of=ballast bs=1M status=none count=$(($2 * 92 / 100 - $3))";
        volume.run(s, nearly).await?;
        let filling = Instant::now();
        let nearly_full = |degraded: &Condition| degraded.status == "True" && degraded.reason == "VolumeNearlyFull";
        hello.condition("Degraded", Duration::from_secs(60), nearly_full).await?;
        s.figure(format!("nearly full volume reported after {:.1} s", filling.elapsed().as_secs_f64()));
        hello.condition("Ready", Duration::from_secs(5), |ready| ready.status == "True").await?;
        hello.http().await?.must_put("alice", born).await?;
        volume.run(s, "rm ballast").await?;
        hello.condition("Degraded", Duration::from_secs(60), |degraded| degraded.status == "False").await?;

        volume.run(s, "dd if=/dev/zero of=ballast bs=1M status=none || true").await?;
        // A new segment of the log has no room: the server stops itself, which is what a full disk does to PostgreSQL.
        // The number of recycled segments is not known.
        let mut crashed = false;
        for _ in 0..20 {
            if psql(s, &hello, NEW_SEGMENT).await.is_err() {
                crashed = true;
                break;
            }
        }
        ensure!(crashed, "the server had more than 20 recycled segments of its log");
        let filled = Instant::now();
        hello.condition("DatabaseReady", Duration::from_secs(60), |database| database.status == "False" && database.message.contains("No space left")).await?;
        s.figure(format!("full volume reported after {:.1} s", filled.elapsed().as_secs_f64()));
        let answer = hello.http().await?.put("bob", born).await;
        let refused = answer.as_ref().is_ok_and(|answer| answer.status.as_u16() == 503);
        ensure!(refused || answer.is_err(), "a write without a database answered {answer:?}");

        volume.run(s, "rm ballast").await?;
        let freed = Instant::now();
        hello.serving().await?;
        s.figure(format!("Ready {:.1} s after there was room", freed.elapsed().as_secs_f64()));
        expect_greeting(&hello.http().await?, "alice", born).await
    })
    .await
}
