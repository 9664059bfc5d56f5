//! `hello_app::api::fuzzing::query`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello_app::api::fuzzing::query(bytes));
