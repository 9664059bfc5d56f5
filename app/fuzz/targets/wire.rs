//! `hello_app::serving::fuzzing::wire`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hello_app::serving::fuzzing::wire(bytes));
