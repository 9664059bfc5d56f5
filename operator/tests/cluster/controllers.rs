//! Kubernetes' own controllers beside the API server, for what a stand-in would only repeat by hearsay: whose words they
//! report, and when they try again. No node runs, so the pods that they create stay as they are.

use std::sync::mpsc;

use serde_json::json;

use crate::server::{Server, assets, run_until_dropped};

/// Controllers that run; they end when this is dropped.
pub struct Controllers {
    _keeper: mpsc::Sender<()>,
}

impl Controllers {
    /// Starts these controllers, by their names in kube-controller-manager.
    pub fn start(server: &Server, names: &[&str]) -> Self {
        let program = assets().join("kube-controller-manager");
        assert!(program.exists(), "{} does not exist", program.display());
        let folder = tempfile::Builder::new()
            .prefix("hello-controllers-")
            .tempdir()
            .unwrap()
            .keep();
        let kubeconfig = folder.join("kubeconfig");
        let content = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": server.url, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "test", "user": {"token": server.token}}]});
        std::fs::write(&kubeconfig, content.to_string()).unwrap();
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={}", names.join(",")),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
        ];
        let (keeper, _) = run_until_dropped(vec![(program, arguments)], folder);
        Self { _keeper: keeper }
    }
}
