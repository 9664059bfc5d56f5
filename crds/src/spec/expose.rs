//! How clients reach a service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{HOST_NAME, NAMESPACE, OBJECT_NAME};

/// How clients reach the API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// Service in front of the application. Default: type `ClusterIP`, port 80.
    #[serde(default)]
    pub service: ServiceExposure,
    /// Creates an Ingress in front of the Service. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressExposure>,
    /// Creates an HTTPRoute to the Service. The Gateway API must be installed in the cluster. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<RouteExposure>,
}

/// Service in front of the application.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!has(self.nodePort) || self.type != 'ClusterIP'")
    .message("spec.expose.service.nodePort: set type to NodePort or LoadBalancer, or remove nodePort"))]
#[serde(rename_all = "camelCase")]
pub struct ServiceExposure {
    /// From where the Service is reachable. Default: `ClusterIP`.
    #[serde(rename = "type", default)]
    pub type_: ServiceType,
    /// Port of the Service. Default: 80.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Port on every node. Default: the cluster assigns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
}

impl Default for ServiceExposure {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: default_port(),
            node_port: None,
        }
    }
}

const fn default_port() -> i32 {
    80
}

/// From where a Service is reachable.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum ServiceType {
    /// From inside the cluster.
    #[default]
    ClusterIP,
    /// From outside, on a port of every node.
    NodePort,
    /// From outside, through a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// The value in the core API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// An Ingress for all paths of one host name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressExposure {
    /// IngressClass. Default: the default class of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub class_name: Option<String>,
    /// Host name, such as `hello.example.com` or `*.example.com`.
    #[schemars(length(min = 1, max = 253), regex(pattern = HOST_NAME))]
    pub host: String,
    /// Secret of type `kubernetes.io/tls` with the certificate of the host. Default: none, the Ingress serves plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub tls_secret_name: Option<String>,
    /// Annotations for the ingress controller or a certificate issuer. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// An HTTPRoute for all paths of its host names.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteExposure {
    /// Gateways, or single listeners of a Gateway, that serve the route.
    #[schemars(length(min = 1, max = 8))]
    pub parent_refs: Vec<GatewayRef>,
    /// Host names, such as `hello.example.com` or `*.example.com`. Default: all host names of the listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = HOST_NAME)
        )
    )]
    pub hostnames: Vec<String>,
}

/// A Gateway, or one of its listeners.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Namespace of the Gateway. Default: the namespace of the HelloService.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
    /// Name of the listener. Default: every listener that allows the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub section_name: Option<String>,
    /// Port of the listeners. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// TLS of the API's own port.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret of type `kubernetes.io/tls` in the namespace of the HelloService. A renewed certificate takes effect without
    /// a restart.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub secret_name: String,
}
