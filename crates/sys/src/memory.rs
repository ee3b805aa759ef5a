//! How much memory a process holds.

use std::fs;

/// Limits the heap to `count` arenas. The C library otherwise makes several per processor, and each keeps its own pages
/// that are free but for a few bytes. To be called before any thread exists.
pub fn limit_arenas(count: u16) {
    // SAFETY: sets a number. A refusal costs memory, nothing else.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::from(count)) };
}

/// Gives freed heap memory back to the kernel and unmaps the program's code, which comes back page by page from the page
/// cache as it is run. Without it a process keeps the memory of its busiest moment. Takes up to a few milliseconds.
pub fn release_unused() {
    // SAFETY: releases only what is free, in every arena under that arena's lock.
    unsafe { libc::malloc_trim(0) };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code_mapping) {
        // SAFETY: the range is a mapping of executable, never written pages of the program's file: what is dropped is
        // read again from the file. A mapping that is gone meanwhile is refused.
        unsafe { libc::madvise(std::ptr::without_provenance_mut(start), length, libc::MADV_DONTNEED) };
    }
}

/// Address and length of the mapping that a line of `/proc/self/maps` describes, if that is code from a file.
fn code_mapping(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let from_file = words.nth(3)?.starts_with('/');
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (permissions == "r-xp" && from_file).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_counts() {
        let line = "00867000-0178a000 r-xp 00666000 fe:00 10248317                           /usr/bin/wharf";
        assert_eq!(code_mapping(line), Some((0x0086_7000, 0x00f2_3000)));
        for other in [
            "00200000-00867000 r--p 00000000 fe:00 10248317                           /usr/bin/wharf",
            "7fc6d4000000-7fc6d40cf000 rw-p 00000000 00:00 0 ",
            "7ffd1b5f0000-7ffd1b5f2000 r-xp 00000000 00:00 0                          [vdso]",
        ] {
            assert_eq!(code_mapping(other), None, "{other}");
        }
    }

    #[test]
    fn the_heap_shrinks() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
        };
        // Small pieces with one that stays behind them: freeing them alone cannot move the end of the heap.
        let pieces: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 1024]).collect();
        let last = vec![1_u8; 1024];
        drop(pieces);
        let before = resident();
        release_unused();
        assert!(resident() + 10_000 < before, "{} of {before} KiB", resident());
        drop(last);
    }
}
