//! Names of objects that the spec refers to.

use crate::{
    error::{Error, Result},
    object::object_name::ObjectName,
};

/// Checks the value of `field`.
pub(super) fn object_name(field: &str, text: &str) -> Result<ObjectName> {
    ObjectName::parse(text).ok_or_else(|| {
        let problem =
            format!("{text:?} is not a name: use lower-case letters, digits, hyphens and periods");
        Error::invalid(field, problem)
    })
}
