#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use wharf_api::build::Export;

use super::super::proto::control::{Exporter, SolveRequest};
use super::super::proto::gateway;
use super::*;

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn options(given: &[(&str, &str)], exporters: &[(&str, &[(&str, &str)])]) -> Result<Options, String> {
    let exporters =
        exporters.iter().map(|(kind, attrs)| Exporter { r#type: (*kind).to_owned(), attrs: map(attrs) });
    let solve = SolveRequest { exporters: exporters.collect(), ..SolveRequest::default() };
    let asked = gateway::SolveRequest { frontend_opt: map(given), ..gateway::SolveRequest::default() };
    read(&solve, &asked).map_err(|status| status.message().to_owned())
}

#[test]
fn a_plain_build() {
    let found = options(&[("filename", "D")], &[("moby", &[("name", "a,b:c"), ("push", "true")])]).unwrap();
    assert_eq!((found.file.as_str(), found.request.exports.as_slice()), ("D", &[Export::Image][..]));
    assert_eq!(found.request.names, ["a", "b:c"]);
    assert_eq!(found.dockerfile.unwrap().name, "dockerfile");
    assert_eq!(found.folders[""].name, "context");
}

#[test]
fn flags_of_a_build() {
    let given = [
        ("build-arg:A", "1"),
        ("label:l", "x"),
        ("platform", "linux/amd64"),
        ("no-cache", "one,two"),
        ("image-resolve-mode", "pull"),
        ("add-hosts", "a=1.2.3.4,b=::1"),
        ("ulimit", "nofile=10:20,core=0"),
        ("shm-size", "1024"),
        ("force-network-mode", "host"),
        ("vcs:revision", "abc"),
    ];
    let request = options(&given, &[]).unwrap().request;
    assert_eq!((request.build_args["A"].as_str(), request.labels["l"].as_str()), ("1", "x"));
    assert_eq!(
        (request.platforms, request.pull, request.no_cache),
        (vec!["linux/amd64".to_owned()], true, false)
    );
    assert_eq!(request.no_cache_filter, ["one", "two"]);
    assert_eq!(request.add_hosts, ["a:1.2.3.4", "b:::1"]);
    assert_eq!((request.ulimits[0].soft, request.ulimits[0].hard, request.ulimits[1].hard), (10, 20, 0));
    assert_eq!((request.shm_size, request.network.as_str()), (1024, "host"));
    assert_eq!(request.exports, [Export::Nothing]);
    assert!(options(&[("no-cache", "")], &[]).unwrap().request.no_cache);
}

#[test]
fn contexts() {
    let given = [
        ("context", "https://example.com/x.git"),
        ("context:a", "docker-image://b"),
        ("context:c", "local:c-dir"),
        ("local-sessionid:c-dir", "s"),
    ];
    let found = options(&given, &[]).unwrap();
    assert_eq!((found.request.remote.as_str(), found.dockerfile), ("https://example.com/x.git", None));
    assert_eq!(found.request.contexts["a"], "docker-image://b");
    assert_eq!(found.folders["c"], Local { name: "c-dir".to_owned(), session: Some("s".to_owned()) });
    let found = options(&[("context", "http://buildkit-session/abc"), ("dockerfilekey", "d")], &[]).unwrap();
    assert_eq!((found.upload.as_deref(), found.dockerfile.unwrap().name.as_str()), (Some("abc"), "d"));
}

#[test]
fn what_is_missing_is_named() {
    let error = |given: &[(&str, &str)], kind: &str, attrs: &[(&str, &str)]| {
        options(given, &[(kind, attrs)]).unwrap_err()
    };
    assert_eq!(error(&[("attest:sbom", "")], "moby", &[]), "attestation \"sbom\" is not supported");
    assert_eq!(
        error(&[("context:a", "input:a")], "moby", &[]),
        "named context \"a\": results of other builds are not supported"
    );
    assert_eq!(error(&[], "what", &[]), "exporter \"what\" could not be found");
    assert_eq!(error(&[], "oci", &[("compression", "zstd")]), "compression \"zstd\" is not supported");
    assert_eq!(error(&[("shm-size", "x")], "moby", &[]), "invalid shm-size: x");
    assert_eq!(error(&[("ulimit", "x")], "moby", &[]), "invalid ulimit argument: x");
    assert!(error(&[], "moby", &[("name", "A B")]).starts_with("failed to parse A B: "));
}
