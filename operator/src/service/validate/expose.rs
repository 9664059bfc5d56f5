//! How clients reach the API.

use std::num::NonZeroU16;

use hello_crds::{IngressExposure, RouteExposure, ServiceExposure};

use crate::{
    error::{Error, Result},
    object::names,
};

/// How clients reach the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Expose {
    /// Port of the Service.
    pub port: Port,
    /// Port on every node, when given. Which range a cluster allows is a setting of its API server.
    pub node_port: Option<Port>,
    /// The other settings of the Service.
    pub service: ServiceExposure,
    /// The Ingress, when wanted.
    pub ingress: Option<IngressExposure>,
    /// The HTTPRoute, when wanted.
    pub http_route: Option<RouteExposure>,
}

impl Expose {
    pub(super) fn parse(spec: &hello_crds::Expose) -> Result<Self> {
        let service = &spec.service;
        let ingress = spec.ingress.as_ref();
        for (field, annotations) in [
            ("service", Some(&service.annotations)),
            ("ingress", ingress.map(|ingress| &ingress.annotations)),
        ] {
            let mut keys = annotations.into_iter().flatten().map(|(key, _)| key);
            if let Some(key) = keys.find(|key| names::is_own_annotation(key)) {
                let field = format!("spec.expose.{field}.annotations");
                return Err(Error::invalid(
                    &field,
                    format!("{key:?} is the operator's own"),
                ));
            }
        }
        Ok(Self {
            service: service.clone(),
            port: Port::parse("spec.expose.service.port", service.port)?,
            node_port: service
                .node_port
                .map(|port| Port::parse("spec.expose.service.nodePort", port))
                .transpose()?,
            ingress: spec.ingress.clone(),
            http_route: spec.http_route.clone(),
        })
    }
}

/// A TCP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(NonZeroU16);

impl Port {
    pub(super) fn parse(field: &str, number: i32) -> Result<Self> {
        let problem = || Error::invalid(field, format!("{number} is not a port: use 1 to 65535"));
        let port = number.try_into().ok().and_then(NonZeroU16::new);
        port.map(Self).ok_or_else(problem)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_operators_own_annotations_cannot_be_set() {
        for (part, spec) in [
            (
                "service",
                json!({"annotations": {"hello.internal/desired-hash": "a"}}),
            ),
            (
                "ingress",
                json!({"host": "a", "annotations": {"hello.internal/retained-for": "a"}}),
            ),
        ] {
            let spec = serde_json::from_value(json!({part: spec})).unwrap();
            let error = Expose::parse(&spec).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("spec.expose.{part}.annotations")),
                "{error}"
            );
        }
    }

    #[test]
    fn ports_are_1_to_65535() {
        for number in [1, 80, 65535] {
            assert_eq!(i32::from(Port::parse("f", number).unwrap().get()), number);
        }
        for number in [-1, 0, 65536, i32::MAX] {
            assert!(Port::parse("f", number).is_err(), "{number}");
        }
    }
}
