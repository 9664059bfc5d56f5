//! A volume with a small file system of its own, for faults of disks.

use hello_e2e::{Context, Hello, Result, Scenario};
use jiff::civil::Date;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// A volume of 300 MB on a file system of its own, on the first worker.
pub struct SmallVolume {
    /// Name of the volume and of its storage class.
    pub name: String,
    node: String,
    path: String,
}

impl SmallVolume {
    /// Creates it; it is removed when the scenario ends.
    pub async fn make(s: &Scenario) -> Result<Self> {
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

    /// A service whose database is on this volume. It serves, and knows alice, who was born on this day.
    pub async fn service(&self, s: &Scenario, born: Date) -> Result<Hello> {
        let spec = json!({
            "replicas": 1,
            "database": {"managed": {"storage": {"size": "300Mi", "storageClassName": self.name}}},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        hello.http().await?.must_put("alice", born).await?;
        Ok(hello)
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

    /// Runs a shell command in the volume's folder on the node.
    pub async fn run(&self, s: &Scenario, command: &str) -> Result<()> {
        let script = format!("cd {} && {{ {command}; }}", self.path);
        s.cluster
            .in_node(&self.node, &["sh", "-c", &script])
            .await?;
        Ok(())
    }
}
