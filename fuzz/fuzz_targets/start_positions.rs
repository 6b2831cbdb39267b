#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ade::fuzzing::run("start_positions", bytes));
