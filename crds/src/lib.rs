//! The Rust types of the `hello.internal` custom resources.
