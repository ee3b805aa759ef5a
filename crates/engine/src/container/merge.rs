//! Pure merging: the client's configuration over the image's, then the engine's defaults.

use wharf_api::{
    Empty, StrSlice,
    container::{Config, HostConfig, LogConfig},
};
use wharf_oci::image::RunConfig;

use crate::{Error, Result};

/// Size of `/dev/shm` when the client names none.
const DEFAULT_SHM_SIZE: i64 = 64 * 1024 * 1024;

/// The client's configuration completed by the image's, as Docker's create does it.
///
/// # Errors
/// Neither image nor client say what to run.
pub(crate) fn merge_image(config: Config, image: &RunConfig) -> Result<Config> {
    let mut config = merge(config, image);
    // `--entrypoint ''` arrives as one empty string and means: none, not even the image's.
    if config.entrypoint.as_ref().is_some_and(|entrypoint| entrypoint.0 == [""]) {
        config.entrypoint = None;
    }
    let nothing = |list: &Option<StrSlice>| list.as_ref().is_none_or(|list| list.is_empty());
    if nothing(&config.entrypoint) && nothing(&config.cmd) {
        return Err(Error::invalid("no command specified"));
    }
    Ok(config)
}

/// A configuration completed by another.
pub(crate) fn merge(mut config: Config, image: &RunConfig) -> Config {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    config.env =
        Some(merge_env(config.env.take().unwrap_or_default(), image.env.as_deref().unwrap_or_default()));
    let labels = config.labels.get_or_insert_default();
    for (key, value) in image.labels.iter().flatten() {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    config.exposed_ports.extend(image.exposed_ports.iter().flatten().map(|(port, _)| (port.clone(), Empty)));
    config.volumes = config.volumes.filter(|volumes| !volumes.is_empty());
    if let Some(volumes) = &image.volumes {
        config.volumes.get_or_insert_default().extend(volumes.keys().map(|path| (path.clone(), Empty)));
    }
    merge_command(&mut config, image);
    merge_healthcheck(&mut config, image);
    config
}

/// The image's entrypoint counts only if the client gave none; the image's command only if the client gave neither.
fn merge_command(config: &mut Config, image: &RunConfig) {
    if config.entrypoint.as_ref().is_none_or(|entrypoint| entrypoint.is_empty()) {
        if config.cmd.as_ref().is_none_or(|cmd| cmd.is_empty()) {
            config.cmd = image.cmd.clone().map(StrSlice);
        }
        if config.entrypoint.is_none() {
            config.entrypoint = image.entrypoint.clone().map(StrSlice);
        }
    }
}

fn merge_healthcheck(config: &mut Config, image: &RunConfig) {
    let Some(from_image) = &image.healthcheck else { return };
    let check = config.healthcheck.get_or_insert_default();
    if check.test.is_empty() {
        check.test.clone_from(&from_image.test);
    }
    for (own, theirs) in [
        (&mut check.interval, from_image.interval),
        (&mut check.timeout, from_image.timeout),
        (&mut check.start_period, from_image.start_period),
        (&mut check.start_interval, from_image.start_interval),
        (&mut check.retries, from_image.retries),
    ] {
        if *own == 0 {
            *own = theirs;
        }
    }
}

/// The client's variables, then those of the image that the client does not set.
fn merge_env(mut env: Vec<String>, image: &[String]) -> Vec<String> {
    let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    for entry in image {
        if !env.iter().any(|own| key(own) == key(entry)) {
            env.push(entry.clone());
        }
    }
    env
}

/// Fills what the client left open about the log: the driver, and options of the engine's own driver.
pub(crate) fn default_log(log: &mut LogConfig, default: LogConfig) {
    if log.kind.is_empty() {
        log.kind.clone_from(&default.kind);
    }
    if log.kind == default.kind {
        let mut options = default.config.unwrap_or_default();
        options.extend(log.config.take().unwrap_or_default());
        log.config = Some(options);
    }
}

/// Fills what the client left open in the host configuration with the engine's defaults.
pub(crate) fn default_host_config(mut host: HostConfig, unified_cgroups: bool) -> HostConfig {
    if host.network_mode.is_empty() || host.network_mode == "default" {
        host.network_mode = "bridge".to_owned();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode = "private".to_owned();
    }
    if host.cgroupns_mode.is_empty() {
        let private = unified_cgroups && !host.privileged;
        host.cgroupns_mode = if private { "private" } else { "host" }.to_owned();
    }
    if host.shm_size == 0 {
        host.shm_size = DEFAULT_SHM_SIZE;
    }
    if host.log_config.kind.is_empty() {
        host.log_config.kind = "json-file".to_owned();
    }
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".to_owned();
    }
    if host.runtime.is_empty() {
        host.runtime = "runc".to_owned();
    }
    if host.resources.memory > 0 && host.resources.memory_swap == 0 {
        host.resources.memory_swap = host.resources.memory * 2;
    }
    if host.resources.memory_swappiness == Some(-1) {
        host.resources.memory_swappiness = None;
    }
    if host.resources.pids_limit == Some(0) {
        host.resources.pids_limit = None;
    }
    if !host.privileged {
        host.masked_paths.get_or_insert_with(|| super::spec::MASKED_PATHS.map(str::to_owned).to_vec());
        host.readonly_paths.get_or_insert_with(|| super::spec::READONLY_PATHS.map(str::to_owned).to_vec());
    }
    host
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn image() -> RunConfig {
        RunConfig {
            entrypoint: Some(vec!["/entry".into()]),
            cmd: Some(vec!["image-cmd".into()]),
            env: Some(vec!["PATH=/bin".into(), "A=image".into()]),
            ..RunConfig::default()
        }
    }

    fn merged(entrypoint: Option<&[&str]>, cmd: &[&str]) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let strings = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let config = Config {
            entrypoint: entrypoint.map(|list| StrSlice(strings(list))),
            cmd: (!cmd.is_empty()).then(|| StrSlice(strings(cmd))),
            ..Config::default()
        };
        let merged = merge_image(config, &image()).unwrap();
        (merged.entrypoint.map(|list| list.0), merged.cmd.map(|list| list.0))
    }

    #[test]
    fn commands_merge_as_docker_merges_them() {
        let some = |s: &str| Some(vec![s.to_owned()]);
        assert_eq!(merged(None, &[]), (some("/entry"), some("image-cmd")));
        assert_eq!(merged(None, &["own"]), (some("/entry"), some("own")));
        assert_eq!(merged(Some(&["/own"]), &[]), (some("/own"), None));
        assert_eq!(merged(Some(&[""]), &["own"]), (None, some("own")));
    }

    #[test]
    fn own_variables_come_first_and_win() {
        let config = Config { env: Some(vec!["A=own".into()]), ..Config::default() };
        assert_eq!(merge_image(config, &image()).unwrap().env.unwrap(), ["A=own", "PATH=/bin"]);
    }

    #[test]
    fn log_options_of_the_engine_are_for_its_own_driver() {
        let log = |kind: &str, options: &[(&str, &str)]| LogConfig {
            kind: kind.to_owned(),
            config: Some(options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()),
        };
        let merged = |mut own: LogConfig| {
            default_log(&mut own, log("json-file", &[("max-file", "2"), ("tag", "t")]));
            own
        };
        let filled = log("json-file", &[("max-file", "2"), ("tag", "t")]);
        assert_eq!(merged(LogConfig::default()), filled);
        assert_eq!(
            merged(log("json-file", &[("tag", "own")])),
            log("json-file", &[("max-file", "2"), ("tag", "own")])
        );
        assert_eq!(merged(log("none", &[])), log("none", &[]));
    }

    #[test]
    fn nothing_to_run_is_refused() {
        let error = merge_image(Config::default(), &RunConfig::default()).unwrap_err();
        assert_eq!(error.to_string(), "no command specified");
    }
}
