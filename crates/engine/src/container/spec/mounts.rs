//! The mounts of a container in the order they are made.

use std::path::{Path, PathBuf};

use wharf_api::container::{HostConfig, MountPoint};
use wharf_oci::{
    OciSpecError,
    runtime::{Mount, MountBuilder},
};

use super::{INIT_PATH, Namespace, SpecInput};

fn mount(destination: &str, typ: &str, source: &Path, options: &[&str]) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(destination)
        .typ(typ)
        .source(source)
        .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
        .build()
}

/// The kernel's file systems, the engine's files, then what the user asked for, parents before children.
pub(super) fn mounts(input: &SpecInput<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let user = user_mounts(input)?;
    let taken = |destination: &str| user.iter().any(|mount| mount.destination() == Path::new(destination));
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in system_mounts(input)? {
        // compat: a mount of the user's own on /proc, /dev, … replaces the default one.
        if !taken(&mount.destination().to_string_lossy()) {
            mounts.push(mount);
        }
    }
    for (source, destination) in &input.files {
        if !taken(destination) {
            mounts.push(mount(destination, "bind", source, &["rbind", "rprivate"])?);
        }
    }
    if let Some(init) = &input.init {
        mounts.push(mount(INIT_PATH, "bind", init, &["bind", "ro"])?);
    }
    mounts.extend(user);
    Ok(mounts)
}

fn system_mounts(input: &SpecInput<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let host = &input.container.host_config;
    let source = |name: &str| PathBuf::from(name);
    let read_only = if host.privileged { &[][..] } else { &["ro"] };
    let sys = [&["nosuid", "noexec", "nodev"][..], read_only].concat();
    let cgroup = [read_only, &["nosuid", "noexec", "nodev"]].concat();
    let proc_options = ["nosuid", "noexec", "nodev"];
    let mut mounts = Vec::new();
    if matches!(input.namespaces.pid, Namespace::Host) {
        mounts.push(mount("/proc", "bind", &source("/proc"), &["rbind", "nosuid", "noexec", "nodev"])?);
    } else {
        mounts.push(mount("/proc", "proc", &source("proc"), &proc_options)?);
    }
    mounts.push(mount(
        "/dev",
        "tmpfs",
        &source("tmpfs"),
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    )?);
    mounts.push(mount(
        "/dev/pts",
        "devpts",
        &source("devpts"),
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    )?);
    mounts.push(mount("/sys", "sysfs", &source("sysfs"), &sys)?);
    mounts.push(mount("/sys/fs/cgroup", "cgroup", &source("cgroup"), &cgroup)?);
    if !matches!(input.namespaces.ipc, Namespace::Host) {
        mounts.push(mount("/dev/mqueue", "mqueue", &source("mqueue"), &["nosuid", "noexec", "nodev"])?);
    } else if input.host_mqueue {
        mounts.push(mount(
            "/dev/mqueue",
            "bind",
            &source("/dev/mqueue"),
            &["rbind", "nosuid", "noexec", "nodev"],
        )?);
    }
    mounts.push(shm(host, &input.namespaces.ipc)?);
    Ok(mounts)
}

/// `/dev/shm`: that of the host with the host's IPC namespace, that of the joined container, or an own one.
fn shm(host: &HostConfig, ipc: &Namespace) -> Result<Mount, OciSpecError> {
    match ipc {
        Namespace::Host => mount("/dev/shm", "bind", Path::new("/dev/shm"), &["rbind", "rprivate"]),
        Namespace::Join(namespace) => {
            let root = namespace.parent().and_then(Path::parent).unwrap_or(Path::new("/proc/1"));
            mount("/dev/shm", "bind", &root.join("root/dev/shm"), &["rbind", "rprivate"])
        }
        Namespace::New => mount(
            "/dev/shm",
            "tmpfs",
            Path::new("shm"),
            &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={}", host.shm_size)],
        ),
    }
}

/// Bind mounts, volumes and tmpfs mounts by the depth of their destination, so that none hides another.
fn user_mounts(input: &SpecInput<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let host = &input.container.host_config;
    let mut mounts = Vec::new();
    for point in &input.container.mounts {
        mounts.push(if point.kind == "tmpfs" { tmpfs_mount(host, point)? } else { bind(point)? });
    }
    for (destination, options) in host.tmpfs.iter() {
        let options: Vec<_> = ["noexec", "nosuid", "nodev"].into_iter().chain(options.split(',')).collect();
        let options: Vec<_> = options.into_iter().filter(|option| !option.is_empty()).collect();
        mounts.push(mount(destination, "tmpfs", Path::new("tmpfs"), &options)?);
    }
    mounts.sort_by_key(|mount| mount.destination().components().count());
    Ok(mounts)
}

fn bind(point: &MountPoint) -> Result<Mount, OciSpecError> {
    let propagation = if point.propagation.is_empty() { "rprivate" } else { &point.propagation };
    let mut options = vec!["rbind"];
    if !point.rw {
        options.push("ro");
    }
    options.push(propagation);
    mount(&point.destination, "bind", Path::new(&point.source), &options)
}

/// A `--mount type=tmpfs`: options from the mount's own document.
fn tmpfs_mount(host: &HostConfig, point: &MountPoint) -> Result<Mount, OciSpecError> {
    let wanted = host.mounts.iter().find(|mount| mount.target == point.destination);
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    if let Some(tmpfs) = wanted.and_then(|mount| mount.tmpfs_options.as_ref()) {
        if tmpfs.mode != 0 {
            options.push(format!("mode={:o}", tmpfs.mode));
        }
        if tmpfs.size_bytes != 0 {
            options.push(format!("size={}", tmpfs.size_bytes));
        }
        options.extend(tmpfs.options.iter().map(|pair| pair.join("=")));
    }
    if !point.rw {
        options.push("ro".to_owned());
    }
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    mount(&point.destination, "tmpfs", Path::new("tmpfs"), &options)
}
