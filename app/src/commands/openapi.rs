//! `openapi`: prints the OpenAPI document.

use std::io::{self, Write};

use crate::api::openapi::DOCUMENT;

/// Prints the document.
///
/// # Errors
/// When it cannot be written.
pub fn run() -> io::Result<()> {
    io::stdout().write_all(DOCUMENT.as_bytes())
}
