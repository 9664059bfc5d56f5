//! The OpenAPI document.
//!
//! The tests generate it from the routes, their handlers and types (`openapi_definition`), and fail
//! when the file differs from the code. The program contains the file alone, without the generator.

/// The document as JSON, indented, with a line feed at its end.
pub const DOCUMENT: &str = include_str!("../../openapi.json");
