//! The cluster under test: its client, its nodes and the operator in it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};

use super::command;

/// The namespace the operator runs in.
pub const OPERATOR_NAMESPACE: &str = "hello-system";
/// The operator's Deployment and ServiceAccount.
pub const OPERATOR: &str = "hello-operator";
/// How long a command inside a node may take.
const NODE_LIMIT: Duration = Duration::from_secs(30);

/// Access to the cluster that the current kubeconfig points at.
#[derive(Clone)]
pub struct Cluster {
    /// The API client.
    pub client: Client,
    node_address: String,
    existing: bool,
}

impl Cluster {
    /// Connects with the current kubeconfig.
    ///
    /// # Errors
    /// When there is no kubeconfig, the API server does not answer, or no node has an address.
    pub async fn connect() -> Result<Self> {
        let client = Client::try_default()
            .await
            .context("no usable kubeconfig")?;
        let nodes = Api::<Node>::all(client.clone())
            .list(&ListParams::default())
            .await
            .context("cannot list nodes")?
            .items;
        let node_address = match std::env::var("HELLO_NODE_ADDRESS") {
            Ok(address) => address,
            Err(_) => entry_node(&nodes)?,
        };
        let existing = std::env::var("CLUSTER").is_ok_and(|value| value == "existing");
        Ok(Self {
            client,
            node_address,
            existing,
        })
    }

    /// Whether this is an external cluster (`CLUSTER=existing`) and not the kind cluster, whose nodes are containers.
    pub fn is_existing(&self) -> bool {
        self.existing
    }

    /// The URL of a NodePort. It leads through a node that no scenario drains, unless `HELLO_NODE_ADDRESS` names another address.
    pub fn node_port_url(&self, port: i32) -> String {
        format!("http://{}:{port}", url_host(&self.node_address))
    }

    /// The nodes that ordinary pods may run on.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn workers(&self) -> Result<Vec<Node>> {
        let mut nodes = Api::<Node>::all(self.client.clone())
            .list(&ListParams::default())
            .await?
            .items;
        nodes.retain(|node| !is_control_plane(node));
        Ok(nodes)
    }

    /// Marks a node as schedulable again; does nothing when it is.
    ///
    /// # Errors
    /// When the node cannot be patched.
    pub async fn uncordon(&self, node: &str) -> Result<()> {
        let patch = serde_json::json!({"spec": {"unschedulable": null}});
        Api::<Node>::all(self.client.clone())
            .patch(node, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// The operator's pods that are not being deleted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn operator_pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let mut pods = pods
            .list(&ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR}")))
            .await?
            .items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The name of kind's control-plane container.
    ///
    /// # Errors
    /// On a cluster that is not kind's, where a node cannot be entered.
    pub async fn control_plane(&self) -> Result<String> {
        let nodes = Api::<Node>::all(self.client.clone())
            .list(&ListParams::default())
            .await?;
        nodes
            .items
            .iter()
            .find(|node| is_control_plane(node))
            .and_then(|node| node.metadata.name.clone())
            .context("no control-plane node")
    }

    /// Runs a command inside a kind node (a container of the same name) and returns its output.
    ///
    /// # Errors
    /// When the cluster is not kind's, or the command fails.
    pub async fn in_node(&self, node: &str, args: &[&str]) -> Result<String> {
        ensure!(
            !self.existing,
            "the nodes of an existing cluster are left alone"
        );
        let mut all = vec!["exec", node];
        all.extend_from_slice(args);
        command::output("docker", &all, "", NODE_LIMIT).await
    }
}

fn is_control_plane(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key("node-role.kubernetes.io/control-plane"))
}

/// A host as URLs have it: addresses of version 6 in brackets.
fn url_host(address: &str) -> String {
    match address.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => address.to_owned(),
    }
}

/// The control plane's address on kind; on clusters that hide theirs, the first node's.
fn entry_node(nodes: &[Node]) -> Result<String> {
    let node = nodes
        .iter()
        .find(|node| is_control_plane(node))
        .or_else(|| nodes.first());
    let addresses = node
        .and_then(|node| node.status.as_ref())
        .and_then(|status| status.addresses.as_ref())
        .context("the cluster has no node with an address")?;
    for wanted in ["ExternalIP", "InternalIP"] {
        if let Some(found) = addresses.iter().find(|address| address.type_ == wanted) {
            return Ok(found.address.clone());
        }
    }
    bail!("no node has an ExternalIP or an InternalIP; set HELLO_NODE_ADDRESS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, control_plane: bool, addresses: serde_json::Value) -> Node {
        let labels = if control_plane {
            serde_json::json!({"node-role.kubernetes.io/control-plane": ""})
        } else {
            serde_json::json!({})
        };
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "labels": labels},
            "status": {"addresses": addresses},
        }))
        .unwrap()
    }

    #[test]
    fn requests_enter_through_the_control_plane() {
        let internal = |ip: &str| serde_json::json!([{"type": "InternalIP", "address": ip}]);
        let nodes = [
            node("a", false, internal("10.0.0.2")),
            node("b", true, internal("10.0.0.1")),
        ];
        assert_eq!(entry_node(&nodes).unwrap(), "10.0.0.1");
    }

    #[test]
    fn only_addresses_of_version_6_have_brackets() {
        assert_eq!(url_host("fd00:10::1"), "[fd00:10::1]");
        assert_eq!(url_host("10.0.0.1"), "10.0.0.1");
        assert_eq!(url_host("node.example"), "node.example");
    }

    #[test]
    fn an_external_address_comes_first() {
        let both = serde_json::json!([
            {"type": "InternalIP", "address": "10.0.0.2"},
            {"type": "ExternalIP", "address": "192.0.2.1"},
        ]);
        assert_eq!(entry_node(&[node("a", false, both)]).unwrap(), "192.0.2.1");
    }

    #[test]
    fn a_cluster_without_addresses_is_an_error() {
        assert!(entry_node(&[]).is_err());
        assert!(entry_node(&[node("a", false, serde_json::json!([]))]).is_err());
    }
}
