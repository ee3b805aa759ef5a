//! The part of the request that does not depend on the host.

use std::collections::BTreeMap;

use wharf_api::{
    StrSlice,
    container::{Config, Healthcheck},
};

use super::{checks, ports::Ports, volumes::Volumes};
use crate::Matches;

pub(super) fn build(
    m: &Matches,
    volumes: Volumes,
    ports: Ports,
    env: Vec<String>,
    labels: BTreeMap<String, String>,
) -> Result<Config, String> {
    let attach = m.list("attach").iter().map(|s| checks::stream(s)).collect::<Result<Vec<_>, _>>()?;
    let attached = |stream: &str| attach.iter().any(|s| s == stream);
    let open_stdin = m.bool("interactive");
    let attach_stdin = attached("stdin") || open_stdin;
    Ok(Config {
        hostname: m.str("hostname").to_owned(),
        domainname: m.str("domainname").to_owned(),
        user: m.str("user").to_owned(),
        attach_stdin,
        attach_stdout: attach.is_empty() || attached("stdout"),
        attach_stderr: attach.is_empty() || attached("stderr"),
        exposed_ports: ports.exposed,
        tty: m.bool("tty"),
        open_stdin,
        stdin_once: open_stdin && attach_stdin,
        env: (!env.is_empty()).then_some(env),
        cmd: (m.args().len() > 1).then(|| StrSlice(m.args()[1..].to_vec())),
        healthcheck: healthcheck(m)?,
        image: m.arg(0).to_owned(),
        volumes: Some(volumes.anonymous),
        working_dir: m.str("workdir").to_owned(),
        // An empty entry point resets that of the image.
        entrypoint: m.opt("entrypoint").map(|program| StrSlice(vec![program.to_owned()])),
        labels: Some(labels),
        stop_signal: m.str("stop-signal").to_owned(),
        stop_timeout: m.opt_int("stop-timeout"),
        ..Config::default()
    })
}

fn healthcheck(m: &Matches) -> Result<Option<Healthcheck>, String> {
    let command = m.str("health-cmd");
    let check = Healthcheck {
        test: if command.is_empty() { Vec::new() } else { vec!["CMD-SHELL".to_owned(), command.to_owned()] },
        interval: m.duration("health-interval"),
        timeout: m.duration("health-timeout"),
        start_period: m.duration("health-start-period"),
        start_interval: m.duration("health-start-interval"),
        retries: m.int("health-retries"),
    };
    let given = check != Healthcheck::default();
    if m.bool("no-healthcheck") {
        if given {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        return Ok(Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }));
    }
    for (name, value) in [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("retries", check.retries),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
    ] {
        if value < 0 {
            return Err(format!("--health-{name} cannot be negative"));
        }
    }
    Ok(given.then_some(check))
}
