//! A real registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Archive, free_port, http_get, until};

/// Debian's `docker-registry` on a loopback port of its own, with its storage in a folder of the test.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    folder: PathBuf,
    /// Host and port.
    pub address: String,
}

impl Registry {
    /// Starts it with its files under `folder`.
    pub fn start(folder: &Path) -> Registry {
        let folder = folder.join("registry");
        fs::create_dir_all(&folder).unwrap();
        // Somebody else may take the port between the choice and the start.
        (0..5).find_map(|_| Self::try_start(&folder)).expect("docker-registry starts")
    }

    fn try_start(folder: &Path) -> Option<Registry> {
        let address = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: {address}}}\n",
            folder.join("storage").display()
        );
        let path = folder.join("config.yml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("the tests need docker-registry");
        let mut registry = Registry { child, folder: folder.to_owned(), address };
        let answers = until(Duration::from_secs(20), || {
            http_get(&*registry.address, "/v2/").is_ok() || registry.child.try_wait().unwrap().is_some()
        });
        (answers && registry.child.try_wait().unwrap().is_none()).then_some(registry)
    }

    /// Pushes `image` under `name` by `skopeo`; returns the reference to pull it by.
    pub fn push(&self, image: &Archive, name: &str) -> String {
        let archive = self.folder.join("push.tar");
        fs::write(&archive, image.to_tar("push:latest")).unwrap();
        let reference = format!("{}/{name}", self.address);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        skopeo.arg(format!("docker-archive:{}", archive.display())).arg(format!("docker://{reference}"));
        let output = skopeo.output().expect("the tests need skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        reference
    }

    /// Has it collect garbage; what is said.
    pub fn collect(&self) -> String {
        let mut collector = Command::new("docker-registry");
        let output = collector.arg("garbage-collect").arg(self.folder.join("config.yml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The digest of the manifest of what [`Registry::push`] returned, as `skopeo` sees it.
    pub fn digest(&self, reference: &str) -> String {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
        let output = skopeo.arg(format!("docker://{reference}")).output().expect("the tests need skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
