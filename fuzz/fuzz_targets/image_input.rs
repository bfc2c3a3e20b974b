#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| genimage_fuzz::image_input(data));
