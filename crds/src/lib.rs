//! The Rust types of the `hello.internal` custom resources, and the definitions generated from them.
//!
//! A field exists here only when the operator acts on it: an accepted field is never ignored.
//!
//! Data flows downwards: `definition` uses the resource, the resource (`spec`) uses `status`, and the status uses
//! `conditions`. The doc comment of a field is what `kubectl explain` prints: it states the effect, the default and
//! the unit.

mod conditions;
mod definition;
pub mod names;
mod next;
pub mod quantity;
mod restore;
mod spec;
mod status;

pub use conditions::ConditionType;
pub use definition::definitions;
pub use next::*;
pub use restore::*;
pub use spec::*;
pub use status::*;

/// API group of all resources.
pub const GROUP: &str = "hello.internal";

/// Version of the API in which all resources are served.
pub const VERSION: &str = "v1alpha1";

/// `apiVersion` of all resources: group and version.
pub const API_VERSION: &str = "hello.internal/v1alpha1";

/// `kind` of a [`HelloService`].
pub const KIND: &str = "HelloService";

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;

    #[test]
    fn the_constants_are_those_of_the_resource() {
        assert_eq!(HelloService::group(&()), GROUP);
        assert_eq!(HelloService::version(&()), VERSION);
        assert_eq!(HelloService::api_version(&()), API_VERSION);
        assert_eq!(HelloService::kind(&()), KIND);
    }
}
