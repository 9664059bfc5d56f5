//! `hello_app::auth::fuzzing::token`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello_app::auth::fuzzing::token(bytes));
