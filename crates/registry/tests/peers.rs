//! The client against the distribution project's registry, filled by skopeo. Needs Debian's `docker-registry` and
//! `skopeo`, which `cargo xtask test` installs.

#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use wharf_oci::image::{Descriptor, ImageConfig, media_type};
use wharf_oci::{Digest, Hasher, Platform, Reference};
use wharf_registry::{Client, ClientConfig, Credentials};

const NOTHING: fn(&Digest) -> Option<Vec<u8>> = |_| None;

struct Registry {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    fn start(auth: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let root = folder.path().display();
        // The password is "secret".
        let hash = "user:$2y$05$SIfnb3EDi6vWh4ZIFdSxDeNS5dnHq9GyV6HDXV.qlXDqfltWNqmtC\n";
        std::fs::write(folder.path().join("htpasswd"), hash).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: \"{address}\"}}\n{}",
            auth.replace("ROOT", &root.to_string())
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry").arg("serve").arg(file).stderr(Stdio::null()).spawn();
        let registry = Self { process: process.unwrap(), address, folder };
        for _ in 0..200 {
            if TcpStream::connect(&registry.address).is_ok() {
                return registry;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("docker-registry did not start");
    }

    fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/{rest}", self.address)).unwrap()
    }

    /// Copies an image layout into the registry; `form` is skopeo's name of the manifest format.
    fn fill(&self, name: &str, form: &str, more: &[&str]) {
        let layout = self.folder.path().join("layout");
        write_layout(&layout);
        let target = format!("docker://{}/{name}", self.address);
        let status = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--format", form])
            .args(more)
            .arg(format!("oci:{}:x", layout.display()))
            .arg(target)
            .status();
        assert!(status.unwrap().success());
    }
}

fn write_layout(folder: &Path) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, data: &[u8]| {
        let descriptor = Descriptor::of(kind, data);
        std::fs::write(blobs.join(descriptor.digest.hex()), data).unwrap();
        descriptor
    };
    // An empty archive is enough: nobody unpacks it here.
    let layer = vec![0; 1 << 20];
    let layer_descriptor = put(media_type::OCI_LAYER, &layer);
    let platform = Platform::host();
    let config = json!({
        "architecture": platform.architecture, "os": platform.os, "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]},
    });
    let config = put(media_type::OCI_CONFIG, config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer_descriptor],
    });
    let manifest = put(media_type::OCI_MANIFEST, manifest.to_string().as_bytes());
    let mut entry = serde_json::to_value(manifest).unwrap();
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "x"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[tokio::test]
async fn images_of_both_formats() {
    let registry = Registry::start("");
    let client = Client::new(ClientConfig::default());
    for (form, expected) in [("v2s2", media_type::DOCKER_MANIFEST), ("oci", media_type::OCI_MANIFEST)] {
        let name = format!("me/{form}:1");
        registry.fill(&name, form, &[]);
        let (repository, fetched) = client.resolve(&registry.reference(&name), None, &NOTHING).await.unwrap();
        assert_eq!(fetched.descriptor.media_type, expected);
        let image = repository.image(fetched, None, &NOTHING).await.unwrap();
        let config = repository.small_blob(&image.manifest.config).await.unwrap();
        let config = ImageConfig::parse(&config).unwrap();
        assert_eq!(config.config.cmd, Some(vec!["/x".to_owned()]));
        let layer = &image.manifest.layers[0];
        let mut hasher = Hasher::sha256();
        let mut blob = repository.blob(layer);
        while let Some(part) = blob.next().await.unwrap() {
            hasher.update(&part);
        }
        assert_eq!((hasher.finish(), blob.position()), (layer.digest.clone(), layer.size));
        let by_digest = registry.reference(&format!("me/{form}")).with_digest(image.digest.clone());
        let (_, again) = client.resolve(&by_digest, None, &NOTHING).await.unwrap();
        assert_eq!(again.body, image.body);
    }
    let (_, tags) = client.tags(&registry.reference("me/oci"), None).await.unwrap();
    assert_eq!(tags, ["1"]);
    let error = client.resolve(&registry.reference("nosuch:1"), None, &NOTHING).await.unwrap_err();
    assert_eq!(error.to_string(), "manifest unknown: manifest unknown");
}

#[tokio::test]
async fn a_registry_with_passwords() {
    let registry = Registry::start("auth: {htpasswd: {realm: test, path: ROOT/htpasswd}}\n");
    registry.fill("a:1", "oci", &["--dest-creds", "user:secret"]);
    let client = Client::new(ClientConfig::default());
    let with = |password: &str| Credentials {
        username: "user".to_owned(),
        password: password.to_owned(),
        ..Credentials::default()
    };
    client.login(&registry.address, &with("secret")).await.unwrap();
    assert!(client.login(&registry.address, &with("wrong")).await.is_err());
    client.resolve(&registry.reference("a:1"), Some(&with("secret")), &NOTHING).await.unwrap();
    let error = client.resolve(&registry.reference("a:1"), None, &NOTHING).await.unwrap_err();
    assert!(error.to_string().ends_with(": no basic auth credentials"), "{error}");
}
