/// What an archive may hold before it is taken for a bomb and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one archive.
    pub entries: u64,
    /// Bytes of one uncompressed archive.
    pub tar_bytes: u64,
    /// Bytes of all its files together, holes included.
    pub file_bytes: u64,
    /// Uncompressed bytes per compressed byte, tested beyond the first [`Limits::ratio_from`] bytes.
    pub ratio: u64,
    /// Uncompressed bytes from which on the ratio is tested.
    pub ratio_from: u64,
}

impl Default for Limits {
    /// Wide enough for every honest image: 10 million entries, 256 GiB of tar, 4 TiB of files, 250:1 beyond 4 GiB.
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            tar_bytes: 256 << 30,
            file_bytes: 4 << 40,
            ratio: 250,
            ratio_from: 4 << 30,
        }
    }
}
