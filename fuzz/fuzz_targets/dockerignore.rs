//! Any text as an ignore file, and what follows its first empty line as paths.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        wharf_fuzz::dockerignore(text);
    }
});
