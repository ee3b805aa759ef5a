use super::*;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    std::fs::write(&file, text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&file), environment, &[])
}

/// The file in the reference image.
const REFERENCE: &str = "\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

#[test]
fn the_reference_file_and_environment() {
    let config = load(REFERENCE, &[]).unwrap();
    assert_eq!((config.root.to_str(), config.address.as_str()), (Some("/var/lib/registry"), "[::]:5000"));
    assert_eq!(config.headers.get("x-content-type-options").unwrap(), "nosniff");
    assert!(!config.delete && matches!(config.auth, Auth::Open));

    let config = load(
        REFERENCE,
        &[
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "R"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
            ("REGISTRY_HTTP_ADDR", "127.0.0.1:5001"),
            ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
            ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c"),
            ("REGISTRY_HTTP_TLS_KEY", "/k"),
            ("REGISTRY_PROXY_REMOTEURL", "https://registry.example"),
            // What Kubernetes sets for a service of the name "registry".
            ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .unwrap();
    assert!(config.delete && config.tls.is_some() && config.upstreams.len() == 1);
    assert_eq!((config.root.to_str(), config.address.as_str()), (Some("/data"), "127.0.0.1:5001"));
    assert!(matches!(config.auth, Auth::Htpasswd { realm, .. } if realm == "R"));
}

#[test]
fn what_is_not_understood_is_refused() {
    let refused = |text: &str| load(text, &[]).unwrap_err().to_string();
    assert_eq!(refused("storage: {s3: {bucket: x}}"), "not supported by this registry: storage.s3.bucket");
    assert_eq!(
        refused("auth: {silly: {realm: x}}"),
        r#"not supported by this registry: auth: {"silly":{"realm":"x"}}"#
    );
    assert_eq!(refused("auth: {htpasswd: {realm: x}}"), "auth.htpasswd.path: is missing");
    assert_eq!(refused("http: {tls: {key: x}}"), "http.tls: needs both a certificate and a key");
    assert_eq!(refused("collect: {grace: soon}"), "collect.grace: \"soon\" is not a duration such as 24h");
    for key in ["connections", "manifest", "headertimeout", "bodytimeout"] {
        assert!(refused(&format!("limits: {{{key}: 0}}")).contains("above 0"), "{key}");
        assert!(refused(&format!("limits: {{{key}: -1}}")).starts_with(&format!("limits.{key}: ")), "{key}");
    }
    assert!(refused("- a").starts_with("malformed configuration"));
    assert!(load("", &[]).is_ok());
}
