#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promrelay_fuzz::journal_recovery::run(bytes));
