//! User names in paths.

use super::context::Api;
use super::problem::Problem;
use super::problem_kind::ProblemKind;
use crate::domain::Username;

/// A user name in a path: 1 to 64 letters, percent-encoded once.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[^\\x00-@\\[-`{-\\x7f]+$", example = "alice")]
pub struct NameParameter(pub String);

/// The user name in a segment of the path.
///
/// # Errors
/// 400 that names the parameter.
pub fn parse(api: &Api, parameter: &'static str, segment: &str) -> Result<Username, Problem> {
    Username::from_path_segment(segment, api.usernames).map_err(|error| {
        Problem::parameter(ProblemKind::InvalidUsername, parameter, error.to_string())
    })
}
