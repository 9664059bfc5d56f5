//! Access from outside the cluster: Ingress and HTTPRoute.

use hello_crds::GatewayRef;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use serde_json::{Value, json};

use super::app;
use crate::{
    object::{kind::Kind, names},
    service::validate::Validated,
};

/// The Ingress, when asked for.
pub fn ingress(service: &Validated) -> Option<Ingress> {
    let expose = service.expose.ingress.as_ref()?;
    let mut metadata = app::meta(service);
    metadata.annotations = Some(expose.annotations.clone()).filter(|map| !map.is_empty());
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: names::app(&service.identity.name),
            port: Some(ServiceBackendPort {
                name: Some(app::port_name(service).into()),
                number: None,
            }),
        }),
        resource: None,
    };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: expose.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(expose.host.clone()),
                http: Some(HTTPIngressRuleValue {
                    paths: vec![HTTPIngressPath {
                        path: Some("/".into()),
                        path_type: "Prefix".into(),
                        backend,
                    }],
                }),
            }]),
            tls: expose.tls_secret_name.as_ref().map(|secret| {
                vec![IngressTLS {
                    hosts: Some(vec![expose.host.clone()]),
                    secret_name: Some(secret.clone()),
                }]
            }),
            default_backend: None,
        }),
        status: None,
    })
}

/// The HTTPRoute, when asked for.
pub fn http_route(service: &Validated) -> Option<Value> {
    let expose = service.expose.http_route.as_ref()?;
    let resource = Kind::HTTPRoute.resource();
    let mut spec = json!({
        "parentRefs": expose.parent_refs.iter().map(parent).collect::<Vec<_>>(),
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{
                "group": "",
                "kind": "Service",
                "name": names::app(&service.identity.name),
                "port": service.expose.port.get(),
            }],
        }],
    });
    if !expose.hostnames.is_empty() {
        spec["hostnames"] = expose.hostnames.clone().into();
    }
    Some(json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": app::meta(service),
        "spec": spec,
    }))
}

fn parent(gateway: &GatewayRef) -> Value {
    let mut parent = json!({
        "group": Kind::HTTPRoute.resource().group,
        "kind": "Gateway",
        "name": gateway.name,
    });
    if let Some(namespace) = &gateway.namespace {
        parent["namespace"] = namespace.as_str().into();
    }
    if let Some(section) = &gateway.section_name {
        parent["sectionName"] = section.as_str().into();
    }
    if let Some(port) = gateway.port {
        parent["port"] = port.into();
    }
    parent
}
