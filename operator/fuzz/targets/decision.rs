//! `hello_operator::service::fuzzing::decision`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello_operator::service::fuzzing::decision(bytes));
