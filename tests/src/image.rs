//! Root file systems for tests.

use std::{fs, path::Path, process::Command};

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
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("the tests need busybox-static");
    let program = fs::read(busybox).unwrap();
    let applets = Command::new(busybox).arg("--list").output().unwrap();
    let applets = String::from_utf8(applets.stdout).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let base = write_tar(&[
        ("bin/", b"", 0o755),
        ("bin/busybox", &program, 0o755),
        ("etc/", b"", 0o755),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n", 0o644),
        ("etc/group", b"root:x:0:\napp:x:1000:\n", 0o644),
        ("root/", b"", 0o700),
        ("tmp/", b"", 0o1777),
        ("srv/", b"", 0o755),
    ]);
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
