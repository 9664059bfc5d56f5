//! The stores of the add-on, as services and tests reach them.

use hello_e2e::cluster::command::kubectl;
use hello_e2e::{Context, Result, Scenario, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

/// The namespace of the stores.
const NAMESPACE: &str = "object-storage";
/// Their port.
pub const PORT: u16 = 7070;
/// The store that stays.
pub const STORE: &str = "store";
/// The store that is stopped for a while.
pub const OTHER_STORE: &str = "other-store";
/// The region, the bucket and the Secret of the documentation.
pub const REGION: &str = "eu-central-1";
const BUCKET: &str = "company-backups";
const CREDENTIALS: &str = "hello-backup-store";
/// The ConfigMap with the authority of the stores.
const AUTHORITY: &str = "store-authority";

/// The name of a store in the cluster.
pub fn host(store: &str) -> String {
    format!("{store}.{NAMESPACE}.svc")
}

/// The fields of a destination that lead to a store of the add-on and not to Amazon's.
pub fn address(store: &str) -> Value {
    json!({
        "endpoint": format!("https://{}:{PORT}", host(store)),
        "pathStyle": true,
        "caConfigMapRef": {"name": AUTHORITY},
    })
}

/// The destination of the backups of one service.
pub fn destination(store: &str, prefix: &str) -> Value {
    let mut bucket = address(store);
    bucket["bucket"] = BUCKET.into();
    bucket["prefix"] = prefix.into();
    bucket["region"] = REGION.into();
    bucket["credentialsSecretRef"] = json!({"name": CREDENTIALS});
    json!({"s3": bucket})
}

/// What a namespace needs to reach the stores.
pub struct Access {
    /// The access key.
    pub key_id: String,
    /// Its secret.
    pub secret_key: String,
    authority: String,
}

impl Access {
    /// Reads it where the add-on has left it.
    pub async fn read(s: &Scenario) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(s.cluster.client.clone(), NAMESPACE);
        Ok(Self {
            key_id: text(&secrets, "access", "access-key-id").await?,
            secret_key: text(&secrets, "access", "secret-access-key").await?,
            authority: text(&secrets, "tls", "ca.crt").await?,
        })
    }

    /// Gives the authority of the stores to a namespace.
    pub async fn trust(&self, s: &Scenario) -> Result<()> {
        let authority: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": AUTHORITY}, "data": {"ca.crt": self.authority},
        }))?;
        s.api().create(&PostParams::default(), &authority).await?;
        Ok(())
    }

    /// Gives the authority and the access key to a namespace.
    pub async fn hand_to(&self, s: &Scenario) -> Result<()> {
        self.trust(s).await?;
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": CREDENTIALS},
            "stringData": {"access-key-id": self.key_id, "secret-access-key": self.secret_key},
        }))?;
        s.api().create(&PostParams::default(), &secret).await?;
        Ok(())
    }
}

async fn text(secrets: &Api<Secret>, name: &str, key: &str) -> Result<String> {
    let data = secrets.get(name).await?.data.unwrap_or_default();
    let value = data.get(key).map(|value| value.0.clone());
    Ok(String::from_utf8(
        value.context("the add-on's Secret lacks a key")?,
    )?)
}

/// The names of the files that a store has under a prefix, read on the node that has its volume.
pub async fn files(s: &Scenario, store: &str, prefix: &str) -> Result<Vec<String>> {
    let volumes = "/var/local-path-provisioner";
    let objects = format!("{volumes}/*_{NAMESPACE}_{store}/objects/{prefix}/hello-*");
    // A node that never had a volume has no folder for them.
    let find = format!("test ! -d {volumes} || find {volumes} -path '{objects}' -printf '%f\\n'");
    let mut found = Vec::new();
    for node in s.cluster.workers().await? {
        let node = node.metadata.name.context("a node has no name")?;
        let names = s.cluster.in_node(&node, &["sh", "-c", &find]).await?;
        found.extend(names.lines().map(str::to_owned));
    }
    Ok(found)
}

/// Stops the server of a store, or starts it again.
pub async fn set_running(store: &str, running: bool) -> Result<()> {
    let (deployment, pods) = (format!("deployment/{store}"), format!("app={store}"));
    let replicas = format!("--replicas={}", u8::from(running));
    kubectl(&["--namespace", NAMESPACE, "scale", &deployment, &replicas]).await?;
    let settled: &[&str] = match running {
        true => &["rollout", "status", &deployment],
        false => &["wait", "--for=delete", "pod", "--selector", &pods],
    };
    let common = ["--namespace", NAMESPACE, "--timeout=45s"];
    kubectl(&[settled, &common].concat()).await?;
    let left = kubectl(&["--namespace", NAMESPACE, "get", "pods", "--selector", &pods]).await?;
    ensure!(running != left.is_empty(), "{store}: {left}");
    Ok(())
}
