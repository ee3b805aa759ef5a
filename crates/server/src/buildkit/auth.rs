//! Credentials for registries, which the client has.

use std::collections::{BTreeMap, BTreeSet};

use wharf_api::auth::AuthConfig;
use wharf_api::build::Request;
use wharf_build::dockerfile::Dockerfile;
use wharf_build::plan::{PlanOptions, named_images};
use wharf_oci::Reference;

use super::proto::session::{CredentialsRequest, CredentialsResponse};
use super::session::Session;

const METHOD: &str = "/moby.filesync.v1.Auth/Credentials";

/// Credentials for the registries of base images, caches, and of what is pushed, by host. A registry that the client has
/// none for is asked without.
pub(super) async fn credentials(session: &Session, request: &Request) -> BTreeMap<String, AuthConfig> {
    let mut found = BTreeMap::new();
    if !session.offers(METHOD) {
        return found;
    }
    for domain in domains(request) {
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { &domain };
        let asked = CredentialsRequest { host: host.to_owned() };
        let Ok(CredentialsResponse { username, secret }) = session.call(METHOD, asked).await else {
            continue;
        };
        let auth = match (username.is_empty(), secret.is_empty()) {
            (_, true) => continue,
            // A secret alone is a token.
            (true, false) => AuthConfig { identitytoken: secret, ..AuthConfig::default() },
            (false, false) => AuthConfig { username, password: secret, ..AuthConfig::default() },
        };
        found.insert(domain, auth);
    }
    found
}

/// The registries that a build has to do with.
fn domains(request: &Request) -> BTreeSet<String> {
    // The engine tells what is wrong with the file.
    let options = PlanOptions { build_args: request.build_args.clone(), ..PlanOptions::default() };
    let file = Dockerfile::parse(&request.dockerfile);
    let named = file.map(|file| named_images(&file, &options)).unwrap_or_default();
    let bases = named.iter().map(String::as_str);
    let contexts = request.contexts.values().filter_map(|value| value.strip_prefix("docker-image://"));
    let caches = request.cache_from.iter().chain(&request.cache_to);
    let caches = caches.filter_map(|entry| entry.attributes.get("ref").map(String::as_str));
    let names = request.names.iter().map(String::as_str);
    let images = bases.chain(contexts).chain(caches).chain(names).filter(|name| *name != "scratch");
    images.filter_map(|name| Some(Reference::parse(name).ok()?.domain().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_found() {
        let request = Request {
            dockerfile: "FROM a.example/x AS one\nFROM scratch\nFROM one\n".to_owned(),
            names: vec!["b.example:5000/y:z".to_owned()],
            ..Request::default()
        };
        // A stage's name may be an image's too; asking for one host more does no harm.
        let expected = ["a.example", "b.example:5000", "docker.io"];
        assert!(domains(&request).iter().eq(expected.iter()));
    }
}
