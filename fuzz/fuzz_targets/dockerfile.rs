//! Any text as a Dockerfile: parsed, checked, outlined, planned or refused, without a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        wharf_fuzz::dockerfile(text);
    }
});
