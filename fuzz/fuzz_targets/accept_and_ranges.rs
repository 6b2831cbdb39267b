#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ade::fuzzing::run("accept_and_ranges", bytes));
