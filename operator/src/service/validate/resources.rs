//! CPU and memory of containers.

use hello_crds::ResourceList;

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

/// What a container gets whose resources no field sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct DefaultResources {
    /// Request of CPU.
    pub cpu: &'static str,
    /// Request of memory.
    pub memory: &'static str,
    /// Limit of memory.
    pub memory_limit: Option<&'static str>,
}

impl Resources {
    /// Checks resources that several fields may set, the nearest first: for CPU and for memory, the first field that
    /// sets one counts. Where it sets no request, the limit is the request, as everywhere in Kubernetes; where no field
    /// sets anything, the default is.
    pub(super) fn parse(
        given: &[(String, hello_crds::Resources)],
        default: DefaultResources,
    ) -> Result<Self> {
        let cpu = (default.cpu, None);
        let memory = (default.memory, default.memory_limit);
        Ok(Self {
            cpu: amount(given, "cpu", |list| list.cpu.as_ref(), cpu)?,
            memory: amount(given, "memory", |list| list.memory.as_ref(), memory)?,
        })
    }
}

fn amount(
    given: &[(String, hello_crds::Resources)],
    name: &str,
    of: fn(&ResourceList) -> Option<&String>,
    (request, limit): (&str, Option<&str>),
) -> Result<Amount> {
    for (field, resources) in given {
        let read = |kind: &str, list: &Option<ResourceList>| {
            let text = list.as_ref().and_then(of);
            text.map(|text| quantity(&format!("{field}.{kind}.{name}"), text))
                .transpose()
        };
        let request = read("requests", &resources.requests)?;
        let limit = read("limits", &resources.limits)?;
        if let Some(request) = request.or_else(|| limit.clone()) {
            return Ok(Amount { request, limit });
        }
    }
    Ok(Amount {
        request: quantity(name, request)?,
        limit: limit.map(|limit| quantity(name, limit)).transpose()?,
    })
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

    const DEFAULT: DefaultResources = DefaultResources {
        cpu: "50m",
        memory: "64Mi",
        memory_limit: Some("256Mi"),
    };

    fn parse(given: Value) -> Result<Resources> {
        let given: Option<hello_crds::Resources> = serde_json::from_value(given).unwrap();
        let given = given.map(|given| ("spec.resources".to_owned(), given));
        Resources::parse(given.as_slice(), DEFAULT)
    }

    #[test]
    fn a_limit_alone_is_also_the_request_and_a_default_fills_the_rest() {
        let resources = parse(json!({"limits": {"cpu": "20m"}})).unwrap();
        assert_eq!(resources.cpu.request.as_str(), "20m");
        assert_eq!(resources.cpu.limit, Some(resources.cpu.request));
        assert_eq!(resources.memory.request.as_str(), "64Mi");
        assert_eq!(resources.memory.limit, Quantity::parse("256Mi"));
        // A field that sets an amount sets all of it.
        let request = parse(json!({"requests": {"memory": "64Mi"}})).unwrap();
        assert_eq!(request.memory.limit, None);
        assert_eq!(request.cpu.limit, None);
        let both = json!({"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}});
        let memory = parse(both).unwrap().memory;
        assert_eq!(memory.request.as_str(), "1Gi");
        assert_eq!(memory.limit, Quantity::parse("2Gi"));
        assert_eq!(parse(Value::Null).unwrap().cpu.request.as_str(), "50m");
    }

    #[test]
    fn of_several_fields_the_first_that_sets_an_amount_counts_for_it() {
        let given = [
            ("near", json!({"limits": {"cpu": "1"}})),
            (
                "far",
                json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2"}}),
            ),
        ];
        let given =
            given.map(|(field, value)| (field.to_owned(), serde_json::from_value(value).unwrap()));
        let resources = Resources::parse(&given, DEFAULT).unwrap();
        // Never the request of one field with the limit of another.
        assert_eq!(resources.cpu.request.as_str(), "1");
        assert_eq!(resources.cpu.limit, Quantity::parse("1"));
        assert_eq!(resources.memory.limit, Quantity::parse("1Gi"));
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
