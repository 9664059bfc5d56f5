//! How clients reach a service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{HOST_NAME, LABEL_NAME, OBJECT_NAME};

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
#[x_kube(validation = Rule::new("!(has(self.loadBalancerClass) || has(self.loadBalancerSourceRanges)) || self.type == 'LoadBalancer'")
    .message("spec.expose.service: set type to LoadBalancer, or remove loadBalancerClass and loadBalancerSourceRanges"))]
#[x_kube(validation = Rule::new("self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))")
    .message("spec.expose.service.loadBalancerClass: the class of a load balancer cannot change; set another type first"))]
#[x_kube(validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
    .message("spec.expose.service.externalTrafficPolicy: set type to NodePort or LoadBalancer, or remove externalTrafficPolicy"))]
#[x_kube(validation = Rule::new("!has(self.ipFamilies) || size(self.ipFamilies) == (has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack' ? 2 : 1)")
    .message("spec.expose.service.ipFamilies: use one family with SingleStack, and two with PreferDualStack or RequireDualStack"))]
#[x_kube(validation = Rule::new("!(has(self.ipFamilies) && has(oldSelf.ipFamilies)) || self.ipFamilies[0] == oldSelf.ipFamilies[0]")
    .message("spec.expose.service.ipFamilies: the first family of a Service cannot change; keep it first"))]
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
    /// Annotations, for a load balancer or a DNS controller. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Implementation of the load balancer, such as `service.k8s.aws/nlb`. It cannot change. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
        )
    )]
    pub load_balancer_class: Option<String>,
    /// Networks whose clients the load balancer lets in. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(range, isCIDR(range) && cidr(range) == cidr(range).masked())")
        .message("spec.expose.service.loadBalancerSourceRanges: use networks such as 10.0.0.0/8"))]
    #[schemars(length(max = 64), inner(length(min = 1, max = 49)))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Which pods get the requests from outside. Default: `Cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// How many address families the Service has. Default: `SingleStack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Address families, the first one first. The first one cannot change. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 2))]
    pub ip_families: Vec<IpFamily>,
}

impl Default for ServiceExposure {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: default_port(),
            node_port: None,
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            external_traffic_policy: None,
            ip_family_policy: None,
            ip_families: Vec::new(),
        }
    }
}

/// Which pods get the requests from outside.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// Those of the whole cluster. They may see a node's address instead of the client's.
    Cluster,
    /// Those of the node that the request reaches. They see the client's address.
    Local,
}

impl TrafficPolicy {
    /// The value in the core API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// How many address families a Service has.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Two where the cluster has two.
    PreferDualStack,
    /// Two.
    RequireDualStack,
}

impl IpFamilyPolicy {
    /// The value in the core API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SingleStack => "SingleStack",
            Self::PreferDualStack => "PreferDualStack",
            Self::RequireDualStack => "RequireDualStack",
        }
    }
}

/// Address family.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The names are those of the core API.
pub enum IpFamily {
    IPv4,
    IPv6,
}

impl IpFamily {
    /// The value in the core API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
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
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_NAME))]
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
