#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promrelay_fuzz::remote_write::decode_v2(bytes));
