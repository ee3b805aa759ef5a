//! What the measurements of images and builds work on: made here, the same every time.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Numbers without pattern (xorshift64).
pub(super) struct Noise(u64);

impl Noise {
    /// Another seed gives other numbers.
    pub(super) fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that cannot be compressed.
    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length / 8 + 1).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Words in disorder, which compress to about the half.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let word = |noise: &mut Noise| {
            let length = 3 + (noise.next() % 7) as usize;
            let letters = noise.bytes(length);
            letters.into_iter().map(|byte| b'a' + byte % 26).chain([b' ']).collect()
        };
        let words: Vec<Vec<u8>> = (0..4000).map(|_| word(self)).collect();
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            text.extend_from_slice(&words[(self.next() % 4000) as usize]);
        }
        text.truncate(length);
        text
    }
}

/// A build context whose image has `layers` layers of `megabytes` each: files of 4 KiB to 4 MiB, half of them text, half
/// noise.
///
/// # Errors
/// The file system refuses.
pub(super) fn layers(context: &Path, layers: usize, megabytes: usize) -> Result<()> {
    let mut noise = Noise::new(7);
    let text = noise.text(16 << 20);
    let mut dockerfile = "FROM scratch\n".to_owned();
    for layer in 0..layers {
        let (mut left, mut number) = (megabytes * 1_000_000, 0);
        while left > 0 {
            let size = ((4096 << (noise.next() % 10)) + (noise.next() % 4096) as usize).min(left);
            let content = if number % 2 == 0 {
                let from = (noise.next() as usize) % (text.len() - size);
                text[from..from + size].to_vec()
            } else {
                noise.bytes(size)
            };
            let folder = context.join(format!("l{layer}/d{}", number % 40));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("f{number}")), content)?;
            (left, number) = (left - size, number + 1);
        }
        dockerfile += &format!("COPY l{layer} /data/l{layer}\n");
    }
    Ok(fs::write(context.join("Dockerfile"), dockerfile + "CMD [\"/none\"]\n")?)
}

/// The archive of a root file system of `count` files, `megabytes` together, all of noise.
///
/// # Errors
/// The file system refuses.
pub(super) fn files(path: &Path, count: usize, megabytes: usize) -> Result<()> {
    let mut noise = Noise::new(count as u64);
    let mut archive = tar::Builder::new(std::io::BufWriter::new(File::create(path)?));
    for number in 0..count {
        let content = noise.bytes(megabytes * 1_000_000 / count);
        add(&mut archive, &format!("d{}/e{}/f{number}", number % 40, number % 11), &content)?;
    }
    Ok(archive.into_inner()?.flush()?)
}

/// An archive for `load` of `count` images `NAME/i0:t` and so on, each with a layer of its own over one they share.
///
/// # Errors
/// The file system refuses.
pub(super) fn images(path: &Path, name: &str, count: usize) -> Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::new(File::create(path)?));
    let shared = layer("shared", b"hello")?;
    add(&mut archive, "shared.tar", &shared)?;
    let mut manifest = Vec::new();
    for number in 0..count {
        let own = layer(&format!("own{number}"), number.to_string().as_bytes())?;
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "created": format!("2024-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60),
            "config": {"Env": ["PATH=/bin"], "Labels": {"number": number.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&shared), digest(&own)]},
            "history": [{"created_by": "shared"}, {"created_by": "own"}],
        });
        add(&mut archive, &format!("{number}.tar"), &own)?;
        add(&mut archive, &format!("{number}.json"), config.to_string().as_bytes())?;
        manifest.push(json!({
            "Config": format!("{number}.json"),
            "RepoTags": [format!("{name}/i{number}:t")],
            "Layers": ["shared.tar", format!("{number}.tar")],
        }));
    }
    add(&mut archive, "manifest.json", json!(manifest).to_string().as_bytes())?;
    Ok(archive.into_inner()?.flush()?)
}

/// `sha256:…` of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn layer(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, name, content)?;
    Ok(archive.into_inner()?)
}

fn add(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    Ok(archive.append_data(&mut header, name, content)?)
}
