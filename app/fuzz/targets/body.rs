//! `hello_app::http::fuzzing::body`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello_app::http::fuzzing::body(bytes));
