//! CPU and memory of containers.

use crate::{
    error::{Error, Result},
    object::quantity::Quantity,
};

/// CPU and memory of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// CPU in cores.
    pub cpu: Amount,
    /// Memory in bytes.
    pub memory: Amount,
}

/// How much of one resource a container gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    /// What the scheduler reserves. The autoscaler needs it for CPU.
    pub request: Quantity,
    /// What the container cannot exceed.
    pub limit: Option<Quantity>,
}

impl Resources {
    /// Checks the resources in `field`. Where they name no request, the limit is the request, as everywhere in
    /// Kubernetes; where they name neither, the default is.
    pub(super) fn parse(
        field: &str,
        given: Option<&hello_crds::Resources>,
        default: [&str; 2],
    ) -> Result<Self> {
        let requests = given.and_then(|given| given.requests.as_ref());
        let limits = given.and_then(|given| given.limits.as_ref());
        let amount = |name: &str, request: Option<&String>, limit: Option<&String>, default| {
            let read = |kind: &str, text: &str| quantity(&format!("{field}.{kind}.{name}"), text);
            let limit = limit.map(|limit| read("limits", limit)).transpose()?;
            let request = match (request, &limit) {
                (Some(request), _) => read("requests", request)?,
                (None, Some(limit)) => limit.clone(),
                (None, None) => read("requests", default)?,
            };
            Ok(Amount { request, limit })
        };
        let [cpu, memory] = default;
        Ok(Self {
            cpu: amount(
                "cpu",
                requests.and_then(|list| list.cpu.as_ref()),
                limits.and_then(|list| list.cpu.as_ref()),
                cpu,
            )?,
            memory: amount(
                "memory",
                requests.and_then(|list| list.memory.as_ref()),
                limits.and_then(|list| list.memory.as_ref()),
                memory,
            )?,
        })
    }
}

/// Checks the quantity in `field`.
pub(super) fn quantity(field: &str, text: &str) -> Result<Quantity> {
    let problem = || Error::invalid(field, format!("{text:?} is not a quantity"));
    Quantity::parse(text).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(given: Value) -> Result<Resources> {
        let given: Option<hello_crds::Resources> = serde_json::from_value(given).unwrap();
        Resources::parse("spec.resources", given.as_ref(), ["50m", "64Mi"])
    }

    #[test]
    fn a_limit_alone_is_also_the_request_and_a_default_fills_the_rest() {
        let resources = parse(json!({"limits": {"cpu": "20m"}})).unwrap();
        assert_eq!(resources.cpu.request.as_str(), "20m");
        assert_eq!(resources.cpu.limit, Some(resources.cpu.request));
        assert_eq!(resources.memory.request.as_str(), "64Mi");
        assert_eq!(resources.memory.limit, None);
        let both = json!({"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}});
        let memory = parse(both).unwrap().memory;
        assert_eq!(memory.request.as_str(), "1Gi");
        assert_eq!(memory.limit, Quantity::parse("2Gi"));
        assert_eq!(parse(Value::Null).unwrap().cpu.request.as_str(), "50m");
    }

    #[test]
    fn the_wrong_amount_is_named() {
        for (given, field) in [
            (json!({"limits": {"cpu": "x"}}), "spec.resources.limits.cpu"),
            (
                json!({"requests": {"memory": "1i"}}),
                "spec.resources.requests.memory",
            ),
        ] {
            let error = parse(given).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
