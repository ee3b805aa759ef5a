//! From flags to the request of a build.

use std::{collections::BTreeMap, env, fs};

use wharf_api::build::Request;
use wharf_build::{
    dockerfile::Dockerfile,
    plan::{PlanOptions, named_images},
};
use wharf_oci::Reference;

use super::{
    cache::Caches,
    context::{Context, Folder},
};
use crate::{
    Cli, Error, Matches, Result,
    commands::container::options::{extra_host, ulimits},
    registry_auth, value,
};

/// The variable and build argument that says what time it is.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A secret: where the client has it.
#[derive(Debug, Clone)]
pub(super) enum Secret {
    File(String),
    Variable(String),
}

/// Makes the request.
///
/// # Errors
/// A flag's value cannot be used.
pub(super) fn request(
    cli: &Cli,
    m: &Matches,
    context: &Context,
    named: &BTreeMap<String, Folder>,
    caches: &Caches,
    more_names: &[String],
) -> Result<Request> {
    let names = names([m.list("tag"), more_names.to_vec()].concat())?;
    let mut folders: BTreeMap<_, _> =
        named.iter().map(|(name, folder)| (name.clone(), folder.identity())).collect();
    folders.extend(context.identity().map(|identity| (String::new(), identity)));
    let build_args = build_args(&m.list("build-arg"));
    let epoch = epoch(&build_args)?.or(m.bool("reproducible").then_some(0));
    Ok(Request {
        auth: auth(cli, &context.dockerfile, &build_args, &names, caches),
        dockerfile: context.dockerfile.clone(),
        ignore: context.ignore.clone(),
        target: m.opt("target").filter(|target| !target.is_empty()).map(str::to_owned),
        build_args,
        labels: m.list("label").iter().map(|label| pair(label)).collect(),
        platforms: m.list("platform").iter().flat_map(|text| text.split(',')).map(str::to_owned).collect(),
        folders,
        contexts: m.list("build-context").iter().filter_map(|text| remote_context(text)).collect(),
        remote: context.remote.clone(),
        file: context.dockerfile_name.clone(),
        no_cache: m.bool("no-cache"),
        no_cache_filter: m
            .list("no-cache-filter")
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::to_owned)
            .collect(),
        pull: m.bool("pull"),
        allow: entitlements(&m.list("allow"))?,
        network: m.str("network").to_owned(),
        add_hosts: m
            .list("add-host")
            .iter()
            .map(|host| extra_host(host).map_err(Error::message))
            .collect::<Result<_>>()?,
        shm_size: m.bytes("shm-size"),
        ulimits: ulimits(&m.list("ulimit")).map_err(Error::message)?,
        cgroup_parent: m.str("cgroup-parent").to_owned(),
        epoch,
        newest: epoch.filter(|_| m.bool("reproducible")),
        names,
        cache_from: caches.from.clone(),
        cache_to: caches.to.clone(),
        ..Request::default()
    })
}

/// The entitlements of `--allow`.
///
/// # Errors
/// There is no such entitlement, or it cannot be granted.
fn entitlements(given: &[String]) -> Result<Vec<String>> {
    for name in given {
        match name.split('=').next().unwrap_or_default() {
            // Clients' files need no leave here: only contexts that were named are read.
            "network.host" | "security.insecure" | "fs" | "fs.read" | "fs.write" => {}
            "device" => {
                return Err(Error::message("--allow device is not supported by this version"));
            }
            _ => return Err(Error::message(format!("unknown entitlement {name}"))),
        }
    }
    Ok(given.to_vec())
}

/// The arguments of `--build-arg`, and the client's `SOURCE_DATE_EPOCH` if none of them is it.
fn build_args(given: &[String]) -> BTreeMap<String, String> {
    let mut args = pairs(given);
    let inherited = env::var(EPOCH).ok().filter(|text| !text.is_empty());
    if let (Some(text), false) = (inherited, args.contains_key(EPOCH)) {
        args.insert(EPOCH.to_owned(), text);
    }
    args
}

/// Seconds since the epoch that all times in the image are set to.
///
/// # Errors
/// It is no number.
fn epoch(build_args: &BTreeMap<String, String>) -> Result<Option<i64>> {
    let Some(text) = build_args.get(EPOCH).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().map_err(|_| Error::message(format!("invalid SOURCE_DATE_EPOCH: {text}")));
    number.map(Some)
}

fn names(given: Vec<String>) -> Result<Vec<String>> {
    for name in &given {
        Reference::parse(name).map_err(|error| Error::message(format!("invalid tag {name:?}: {error}")))?;
    }
    Ok(given)
}

/// `NAME=VALUE`, or a name alone that stands for the client's variable; one it does not have is left out.
fn pairs(given: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), env::var(text).ok()?)),
    };
    given.iter().filter_map(pair).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn remote_context(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    value.contains("://").then(|| (name.to_owned(), value.to_owned()))
}

/// Credentials for the registries that the Dockerfile and the image itself name, and those that caches are in.
fn auth(
    cli: &Cli,
    dockerfile: &str,
    build_args: &BTreeMap<String, String>,
    names: &[String],
    caches: &Caches,
) -> BTreeMap<String, wharf_api::auth::AuthConfig> {
    let config = cli.config();
    let mut found = BTreeMap::new();
    // The engine tells what is wrong with the file.
    let options = PlanOptions { build_args: build_args.clone(), ..PlanOptions::default() };
    let file = Dockerfile::parse(dockerfile);
    let bases = file.map(|file| named_images(&file, &options)).unwrap_or_default();
    let images = bases.iter().chain(names).filter_map(|name| Reference::parse(name).ok());
    for base in images.chain(caches.registries()) {
        if let Some(auth) = registry_auth::known(&config, base.domain()) {
            found.insert(base.domain().to_owned(), auth);
        }
    }
    found
}

/// The secrets of `--secret`, by name.
///
/// # Errors
/// One has no name, or its file is not there.
pub(super) fn secrets(given: &[String]) -> Result<BTreeMap<String, Secret>> {
    let mut secrets = BTreeMap::new();
    for text in given {
        let (mut id, mut source, mut variable, mut kind) = (String::new(), None, None, String::new());
        for field in value::split_record(text).map_err(Error::message)? {
            match field.split_once('=') {
                Some(("id", value)) => id = value.to_owned(),
                Some(("src" | "source", value)) => source = Some(value.to_owned()),
                Some(("env", value)) => variable = Some(value.to_owned()),
                Some(("type", value @ ("file" | "env"))) => kind = value.to_owned(),
                Some(("type", other)) => {
                    return Err(Error::message(format!("unsupported secret type {other:?}")));
                }
                Some((key, _)) => {
                    return Err(Error::message(format!("unexpected key '{key}' in '{field}'")));
                }
                None => {
                    return Err(Error::message(format!("invalid field '{field}' must be a key=value pair")));
                }
            }
        }
        if id.is_empty() {
            return Err(Error::message("secret missing \"id\" field"));
        }
        let secret = match (variable, source) {
            (Some(name), _) => Secret::Variable(name),
            (None, Some(name)) if kind == "env" => Secret::Variable(name),
            (None, Some(path)) => Secret::File(path),
            (None, None) if kind != "file" && env::var_os(&id).is_some() => Secret::Variable(id.clone()),
            (None, None) => Secret::File(id.clone()),
        };
        if let Secret::File(path) = &secret {
            fs::metadata(path).map_err(|error| Error::file("stat", path, error))?;
        }
        secrets.insert(id, secret);
    }
    Ok(secrets)
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// It is not there any more.
    pub(super) fn read(&self) -> std::io::Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        match self {
            Self::File(path) => fs::read(path),
            Self::Variable(name) => Ok(env::var_os(name).map(OsStringExt::into_vec).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secret_forms() {
        let of = |text: &str| {
            secrets(&[text.to_owned()])
                .map(|found| format!("{found:?}"))
                .unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(of("id=a,env=B"), r#"{"a": Variable("B")}"#);
        assert_eq!(of("id=a,src=/dev/null"), r#"{"a": File("/dev/null")}"#);
        assert_eq!(of("src=x"), "secret missing \"id\" field");
        assert_eq!(of("id=a,what=x"), "unexpected key 'what' in 'what=x'");
    }

    #[test]
    fn bare_arguments_come_from_the_environment() {
        let found = pairs(&["A=1".to_owned(), "PATH".to_owned(), "NO_SUCH_VARIABLE_HERE".to_owned()]);
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["A", "PATH"]);
    }
}
