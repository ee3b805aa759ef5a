//! Root file systems for tests.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use sha2::Digest;

/// A tar archive of entries given as (path, content); a path that ends in `/` is a folder.
pub fn write_tar(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_entry_type(if path.ends_with('/') {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A root file system of a static busybox with all its applets.
pub fn busybox_tar() -> Vec<u8> {
    busybox_tar_with(&[])
}

fn busybox_tar_with(more: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("the tests need busybox-static");
    let program = fs::read(busybox).unwrap();
    let applets = Command::new(busybox).arg("--list").output().unwrap();
    let applets = String::from_utf8(applets.stdout).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let base: [(&str, &[u8], u32); 8] = [
        ("bin/", b"", 0o755),
        ("bin/busybox", &program, 0o755),
        ("etc/", b"", 0o755),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n", 0o644),
        ("etc/group", b"root:x:0:\napp:x:1000:\n", 0o644),
        ("root/", b"", 0o700),
        ("tmp/", b"", 0o1777),
        ("srv/", b"", 0o755),
    ];
    let base = write_tar(&[base.as_slice(), more].concat());
    let mut reader = tar::Archive::new(base.as_slice());
    for entry in reader.entries().unwrap() {
        let entry = entry.unwrap();
        tar.append(&entry.header().clone(), entry).unwrap();
    }
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}

/// The digest of `content` as image documents write it.
pub fn sha256(content: &[u8]) -> String {
    let hash = sha2::Sha256::digest(content);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image of one layer.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Configuration document.
    pub config: Vec<u8>,
    /// The layer, not compressed.
    pub layer: Vec<u8>,
}

impl Archive {
    /// An image of busybox that prints `greeting` when run without arguments.
    pub fn busybox(greeting: &str) -> Archive {
        // Not the layer of the image that every test's engine has.
        Self::busybox_with(greeting, b"")
    }

    /// The same with a file of this content in it.
    pub fn busybox_with(greeting: &str, content: &[u8]) -> Archive {
        let layer = busybox_tar_with(&[("etc/archive", content, 0o644)]);
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["echo", greeting], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "test"}],
        });
        Archive { config: config.to_string().into_bytes(), layer }
    }

    /// What `docker save` would write of this image under `name`.
    pub fn to_tar(&self, name: &str) -> Vec<u8> {
        let config = format!("{}.json", &sha256(&self.config)["sha256:".len()..]);
        let manifest = json!([{"Config": config, "RepoTags": [name], "Layers": ["layer.tar"]}]);
        write_tar(&[
            (&config, &self.config, 0o644),
            ("layer.tar", &self.layer, 0o644),
            ("manifest.json", manifest.to_string().as_bytes(), 0o644),
        ])
    }
}
