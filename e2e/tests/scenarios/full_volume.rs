//! A database whose volume is really full: a small file system on a node, filled.

use std::time::{Duration, Instant};

use hello_e2e::psql::psql;
use hello_e2e::scenario::not_applicable;
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, ensure, greeting, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::expect_greeting;

const NAME: &str = "full_volume";

/// Something for the log, and the next segment.
const NEW_SEGMENT: &str =
    "select pg_logical_emit_message(true, 'e2e', 'x'); select pg_switch_wal();";

#[tokio::test]
async fn a_full_volume_is_told_and_over_when_there_is_room() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return not_applicable(NAME, "it needs a file system of its own on a node");
    }
    with_namespace(NAME, async |s| {
        let volume = SmallVolume::make(s).await?;
        let spec = json!({
            "replicas": 1,
            "database": {"managed": {"storage": {"size": "300Mi", "storageClassName": volume.name}}},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        let born = greeting::born_in(30);
        hello.http().await?.must_put("alice", born).await?;

        volume.run(s, "dd if=/dev/zero of=ballast bs=1M status=none || true").await?;
        // A new segment of the log has no room: the server stops itself, which is what a full disk does to PostgreSQL.
        // How many segments it had in store is its own affair.
        let mut crashed = false;
        for _ in 0..20 {
            if psql(s, &hello, NEW_SEGMENT).await.is_err() {
                crashed = true;
                break;
            }
        }
        ensure!(crashed, "the server had more than 20 segments of its log in store");
        let filled = Instant::now();
        hello.condition("DatabaseReady", Duration::from_secs(60), |database| database.status == "False" && database.message.contains("No space left")).await?;
        s.figure(format!("full volume told after {:.1} s", filled.elapsed().as_secs_f64()));
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

/// A volume of 300 MB on a file system of its own, on the first worker.
struct SmallVolume {
    name: String,
    node: String,
    path: String,
}

impl SmallVolume {
    async fn make(s: &Scenario) -> Result<Self> {
        let workers = s.cluster.workers().await?;
        let node = workers
            .first()
            .map(ResourceExt::name_any)
            .context("no worker")?;
        let path = format!("/var/lib/{}", s.namespace);
        let volume = Self {
            name: s.namespace.clone(),
            node,
            path,
        };
        volume.mount(s).await?;
        volume.announce(s).await?;
        Ok(volume)
    }

    async fn mount(&self, s: &Scenario) -> Result<()> {
        let make = format!(
            "mkdir -p {0} && mount -t tmpfs -o size=300m,mode=0777 tmpfs {0}",
            self.path
        );
        s.cluster.in_node(&self.node, &["sh", "-c", &make]).await?;
        let (cluster, node, path) = (s.cluster.clone(), self.node.clone(), self.path.clone());
        s.defer("unmount the small file system", async move {
            // Lazily: the database's pod may still hold it.
            cluster
                .in_node(
                    &node,
                    &["sh", "-c", &format!("umount -l {path} && rmdir {path}")],
                )
                .await?;
            Ok(())
        });
        Ok(())
    }

    async fn announce(&self, s: &Scenario) -> Result<()> {
        let classes: Api<StorageClass> = Api::all(s.cluster.client.clone());
        let volumes: Api<PersistentVolume> = Api::all(s.cluster.client.clone());
        let class = serde_json::from_value(json!({
            "metadata": {"name": self.name},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }))?;
        classes.create(&PostParams::default(), &class).await?;
        let volume = serde_json::from_value(json!({
            "metadata": {"name": self.name},
            "spec": {
                "capacity": {"storage": "300Mi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": self.name,
                "local": {"path": self.path},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.node]},
                ]}]}},
            },
        }))?;
        volumes.create(&PostParams::default(), &volume).await?;
        let name = self.name.clone();
        s.defer("delete the small volume and its class", async move {
            volumes.delete(&name, &DeleteParams::default()).await?;
            classes.delete(&name, &DeleteParams::default()).await?;
            Ok(())
        });
        Ok(())
    }

    /// Runs a shell command in the volume's folder.
    async fn run(&self, s: &Scenario, command: &str) -> Result<()> {
        let script = format!("cd {} && {{ {command}; }}", self.path);
        s.cluster
            .in_node(&self.node, &["sh", "-c", &script])
            .await?;
        Ok(())
    }
}
