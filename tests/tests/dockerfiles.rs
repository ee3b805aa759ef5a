//! Every Dockerfile in `tests/dockerfiles` gives the image that Docker makes of it: the same files, configuration and
//! history. The `.golden` files were recorded from Docker 28.5 with BuildKit:
//! `RECORD=1 PEER=docker PEER_HOST=unix:///… cargo nextest run -p wharf-tests --test dockerfiles`.
//! Times are left out: they differ from build to build.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use wharf_tests::{TestDaemon, busybox_tar, sha256};

const BASE: &str = "wharf-differential-base";

/// What of an image's configuration is compared.
const CONFIG: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "OnBuild",
    "Labels",
    "StopSignal",
    "Shell",
];

/// An engine with its command line.
struct Side {
    program: PathBuf,
    host: String,
    folder: PathBuf,
}

impl Side {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", "1");
        command.env("ENVTOKEN", "from the environment").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Result<Vec<u8>, String> {
        let output = self.command(args).output().unwrap();
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!(
            "{args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    fn text(&self, args: &[&str]) -> Result<String, String> {
        self.run(args).map(|output| String::from_utf8(output).unwrap().trim_end().to_owned())
    }

    /// Builds a Dockerfile and describes the image; `base` is the description of the base image's files.
    fn build(&self, dockerfile: &Path, base: &BTreeMap<String, String>) -> Result<String, String> {
        let context = self.folder.join("context");
        let copy = self.folder.join("Dockerfile");
        fs::copy(dockerfile, &copy).unwrap();
        let secret = format!("id=tok,src={}", context.join("app.py").display());
        let name = "wharf-differential";
        self.run(&[
            "build",
            "-q",
            "-t",
            name,
            "-f",
            copy.to_str().unwrap(),
            "--build-arg",
            &format!("BASE={BASE}"),
            "--build-arg",
            "GIVEN=given",
            "--build-arg",
            "EMPTYGIVEN=",
            "--build-arg",
            "HTTP_PROXY=http://proxy.example:1",
            "--secret",
            &secret,
            context.to_str().unwrap(),
        ])?;
        let files = self.files(name)?;
        let mut text = String::new();
        for (path, line) in &files {
            if base.get(path) != Some(line) {
                writeln!(text, "{path} {line}").unwrap();
            }
        }
        // Which programs are in the base depends on where the tests run.
        let own = |path: &&String| !path.starts_with("bin/");
        for path in base.keys().filter(own).filter(|path| !files.contains_key(*path)) {
            writeln!(text, "{path} removed").unwrap();
        }
        let inspected: Value = serde_json::from_slice(&self.run(&["image", "inspect", name])?).unwrap();
        for key in CONFIG {
            let value = &inspected[0]["Config"][key];
            let empty = value.is_null() || *value == "" || value.as_array().is_some_and(Vec::is_empty);
            // Docker says null or leaves a field out as it likes; what an empty list means, it says.
            if !empty || value.is_array() {
                writeln!(text, "{key}: {}", sorted(value)).unwrap();
            }
        }
        writeln!(text, "Author: {}", inspected[0]["Author"].as_str().unwrap_or_default()).unwrap();
        writeln!(text, "Layers: {}", inspected[0]["RootFS"]["Layers"].as_array().map_or(0, Vec::len))
            .unwrap();
        text.push_str(&self.text(&[
            "history",
            "--no-trunc",
            "--format",
            "{{.CreatedBy}} ({{.Comment}})",
            name,
        ])?);
        text.push('\n');
        self.run(&["rmi", "-f", name])?;
        Ok(text)
    }

    /// All files of an image by path.
    fn files(&self, image: &str) -> Result<BTreeMap<String, String>, String> {
        let container = self.text(&["create", image, "none"])?;
        let archive = self.run(&["export", &container]);
        self.run(&["rm", &container])?;
        Ok(describe(&archive?))
    }
}

/// The files of an archive: type, permissions, owner, content and attributes.
fn describe(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(archive);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().trim_ascii_end().to_vec()).unwrap();
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        // What every container has, and what differs between engines in a container that never ran.
        let own =
            ["dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"];
        if path.is_empty() || own.iter().any(|own| path == *own || path.starts_with(&format!("{own}/"))) {
            continue;
        }
        let header = entry.header().clone();
        let mut line = format!("{:?} {:o}", header.entry_type(), header.mode().unwrap() & 0o7777);
        write!(line, " {}:{}", header.uid().unwrap(), header.gid().unwrap()).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            write!(line, " -> {}", target.display()).unwrap();
        }
        if header.entry_type().is_character_special() {
            let of = |number: std::io::Result<Option<u32>>| number.unwrap().unwrap_or_default();
            write!(line, " {}:{}", of(header.device_major()), of(header.device_minor())).unwrap();
        }
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let extension = extension.unwrap();
            if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                write!(line, " {name}={:?}", String::from_utf8_lossy(extension.value_bytes())).unwrap();
            }
        }
        if header.entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let short =
                content.len() <= 120 && content.iter().all(|b| b.is_ascii_graphic() || b" \n\t".contains(b));
            let content = if short {
                format!("{:?}", String::from_utf8(content).unwrap())
            } else {
                format!("{} bytes, {}", content.len(), sha256(&content))
            };
            write!(line, " {content}").unwrap();
        }
        files.insert(path, line);
    }
    files
}

/// A document with its keys in order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields.into_iter().map(|(key, value)| format!("{key:?}: {}", sorted(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A copy of the context with the modes it was made with, whatever the umask of the checkout.
fn copy_context(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy_context(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            let mode =
                if entry.metadata().unwrap().permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(target, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

fn dockerfiles() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerfiles");
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "Dockerfile")).collect();
    let only = env::var("ONLY").unwrap_or_default();
    found.retain(|path| path.to_string_lossy().contains(&only));
    found.sort();
    found
}

/// Describes all images that a side makes, by Dockerfile.
fn build_all(side: &Side) -> Vec<(PathBuf, String)> {
    copy_context(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerfiles/context"),
        &side.folder.join("context"),
    );
    let tar = side.folder.join("base.tar");
    fs::write(&tar, busybox_tar()).unwrap();
    side.run(&["import", tar.to_str().unwrap(), BASE]).unwrap();
    let base = side.files(BASE).unwrap();
    let built = dockerfiles().into_iter().map(|dockerfile| {
        let text = side.build(&dockerfile, &base).unwrap_or_else(|error| format!("failed: {error}"));
        (dockerfile, text)
    });
    built.collect()
}

#[test]
fn dockerfiles_give_the_images_that_docker_makes() {
    let engine = TestDaemon::start("dockerfiles");
    let mut side = Side {
        program: wharf_tests::binary(),
        host: engine.host(),
        folder: engine.folder.join("differential"),
    };
    fs::create_dir_all(&side.folder).unwrap();
    let record = env::var_os("RECORD").is_some();
    if record {
        side.program = env::var_os("PEER").expect("PEER names the command line to record").into();
        side.host = env::var("PEER_HOST").expect("PEER_HOST is the engine to record");
    }
    let mut different = String::new();
    for (dockerfile, text) in build_all(&side) {
        let golden = dockerfile.with_extension("golden");
        if record {
            fs::write(&golden, text).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if text != expected {
            writeln!(different, "== {}", dockerfile.file_name().unwrap().display()).unwrap();
            for line in expected.lines().filter(|line| !text.lines().any(|other| other == *line)) {
                writeln!(different, "- {line}").unwrap();
            }
            for line in text.lines().filter(|line| !expected.lines().any(|other| other == *line)) {
                writeln!(different, "+ {line}").unwrap();
            }
        }
    }
    assert!(different.is_empty(), "- is Docker, + is this:\n{different}");
}
