//! `--device` and `--gpus`.

use wharf_api::container::{DeviceMapping, DeviceRequest};

use super::{clean, host_config::map};
use crate::value::split_record;

/// The devices asked for.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By path.
    pub(super) mappings: Vec<DeviceMapping>,
    /// By the name a driver knows.
    pub(super) requests: Vec<DeviceRequest>,
}

/// Every `--device`: `PATH[:PATH IN CONTAINER][:ACCESS]`, or `VENDOR/CLASS=NAME`.
pub(super) fn parse(specs: &[String]) -> Result<Devices, String> {
    let mut devices = Devices::default();
    let mut named = Vec::new();
    for spec in specs {
        if is_driver_name(spec) {
            named.push(spec.clone());
        } else {
            devices.mappings.push(mapping(spec)?);
        }
    }
    if !named.is_empty() {
        let request =
            DeviceRequest { driver: "cdi".to_owned(), device_ids: Some(named), ..DeviceRequest::default() };
        devices.requests.push(request);
    }
    Ok(devices)
}

/// `VENDOR/CLASS=NAME` as the Container Device Interface writes it.
fn is_driver_name(spec: &str) -> bool {
    let word = |word: &str, extra: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    let Some((kind, name)) = spec.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    word(vendor, "_-.") && word(class, "_-.") && word(name, "_-.:")
}

fn mapping(spec: &str) -> Result<DeviceMapping, String> {
    let parts: Vec<&str> = spec.split(':').collect();
    if parts.len() > 3 || parts[0].is_empty() {
        return Err(format!("bad format for path: {spec}"));
    }
    let (source, target, access) = match parts[..] {
        [path] => (clean(path), clean(path), "rwm"),
        [path, access] if is_access(access) => (clean(path), clean(path), access),
        [path, target] => (path.to_owned(), clean(target), "rwm"),
        [path, target, access] if is_access(access) => (path.to_owned(), target.to_owned(), access),
        _ => return Err(format!("bad mode specified: {}", parts[parts.len() - 1])),
    };
    if !target.starts_with('/') {
        return Err(format!("{target} is not an absolute path"));
    }
    Ok(DeviceMapping {
        path_on_host: source,
        path_in_container: target,
        cgroup_permissions: access.to_owned(),
    })
}

/// Each of `r`, `w` and `m` at most once, and at least one of them.
fn is_access(text: &str) -> bool {
    let once = |c: char| text.matches(c).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && once(c))
}

/// `--gpus`: `all`, a count, or `driver=,count=,device=,capabilities=,options=`.
pub(super) fn gpus(text: &str) -> Result<DeviceRequest, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    for field in split_record(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => ("count".to_owned(), field.clone()),
        };
        if seen.contains(&key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        match key.as_str() {
            "driver" => request.driver = value,
            "count" => request.count = count(&value)?,
            "device" => request.device_ids = Some(value.split(',').map(str::to_owned).collect()),
            "capabilities" => {
                let all = value.split(',').chain(["gpu"]).map(str::to_owned).collect();
                request.capabilities = Some(vec![all]);
            }
            "options" => request.options = Some(map(&split_record(&value)?)),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        seen.push(key);
    }
    if !seen.iter().any(|key| key == "count") && request.device_ids.is_none() {
        request.count = 1;
    }
    request.capabilities.get_or_insert_with(|| vec![vec!["gpu".to_owned()]]);
    request.options.get_or_insert_default();
    Ok(request)
}

fn count(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        text => text.parse().map_err(|_| {
            format!("invalid count ({text}): value must be either \"all\" or an integer: invalid syntax")
        }),
    }
}
