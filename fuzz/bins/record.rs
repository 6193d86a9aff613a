//! `targets/record.rs`, guided by what it reaches.

#![no_main]

#[path = "../targets/record.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| target::run(input));
