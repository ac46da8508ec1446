//! One target of `headgate-fuzz`: the one that this program is named after.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_fuzz::run(env!("CARGO_BIN_NAME"), data));
