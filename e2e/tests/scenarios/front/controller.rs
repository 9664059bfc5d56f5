//! The controller in front, as clients outside the cluster reach it.

use std::time::Duration;

use hello_e2e::cluster::wait::{self, Seen};
use hello_e2e::service::endpoint::Endpoint;
use hello_e2e::{Context, Result, Scenario};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;

const NAMESPACE: &str = "traefik";
/// Where cert-manager keeps the authority of docs/front.md.
const AUTHORITY: (&str, &str) = ("cert-manager", "front-authority");

/// The addresses of its ports, and the authority of the certificates.
pub struct Controller {
    https: String,
    http: String,
    authority: Vec<u8>,
}

impl Controller {
    /// Reads the ports of the Service, and waits until the authority exists.
    pub async fn connect(s: &Scenario) -> Result<Self> {
        let client = s.cluster.client.clone();
        let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
        let service = services.get(NAMESPACE).await?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let address = |name: &str| -> Result<String> {
            let port = ports.iter().find(|port| port.name.as_deref() == Some(name));
            let port = port
                .and_then(|port| port.node_port)
                .with_context(|| format!("no node port {name}"))?;
            let url = s.cluster.node_port_url(port);
            Ok(url.trim_start_matches("http://").to_owned())
        };
        let secrets: Api<Secret> = Api::namespaced(client, AUTHORITY.0);
        let what = "the authority of the certificates";
        let limit = Duration::from_secs(60);
        let authority = wait::watch(&secrets, AUTHORITY.1, what, limit, |secret| {
            let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
            match data.remove("ca.crt") {
                Some(certificate) => Seen::Done(certificate.0),
                None => Seen::NotYet("no such Secret".to_owned()),
            }
        })
        .await?;
        Ok(Self {
            https: address("websecure")?,
            http: address("web")?,
            authority,
        })
    }

    /// A host by https, with a certificate of the authority.
    pub fn endpoint(&self, host: &str) -> Result<Endpoint> {
        self.endpoint_trusting(host, &self.authority)
    }

    /// A host by https, with a certificate of other authorities.
    pub fn endpoint_trusting(&self, host: &str, authorities: &[u8]) -> Result<Endpoint> {
        Endpoint::tls(&self.https, host, authorities)
    }

    /// A host without TLS.
    pub fn plain(&self, host: &str) -> Endpoint {
        Endpoint::plain(&self.http, host)
    }
}
