//! The OpenAPI document.
//!
//! It is generated from the handlers and their types by the tests, which fail when the file differs
//! from the code; the program carries the file alone, without the generator.

#[cfg(test)]
pub mod definition;

/// The document as JSON, indented, with a line feed at its end.
pub const DOCUMENT: &str = include_str!("../../openapi.json");
