//! Lifecycle hooks: programs of the specification that get the container's state on standard input.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Hooks, Spec};
use serde::Serialize;

use crate::error::{Context, Error, Result};

/// The state document of the runtime specification, as hooks and `state` show it.
#[derive(Clone, Debug, Serialize, serde::Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HookState {
    /// Version of the runtime specification.
    pub oci_version: String,
    /// Container id.
    pub id: String,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: String,
    /// Process id of the container's init on the host; 0 when it is gone.
    pub pid: i32,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// The specification's annotations.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl HookState {
    pub(crate) fn new(spec: &Spec, id: &str, bundle: &Path, pid: i32, status: &str) -> Self {
        Self {
            oci_version: crate::OCI_VERSION.to_owned(),
            id: id.to_owned(),
            status: status.to_owned(),
            pid,
            bundle: bundle.display().to_string(),
            annotations: spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        }
    }
}

/// The points of a container's life at which hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// On the host, after the namespaces exist; includes the older `prestart`.
    CreateRuntime,
    /// In the container's namespaces, before its root is entered.
    CreateContainer,
    /// In the container, right before the program.
    StartContainer,
    /// On the host, after the program was started.
    Poststart,
    /// On the host, after the container was deleted.
    Poststop,
}

fn list(hooks: &Hooks, point: Point) -> Vec<&Hook> {
    // The older name is still what most hooks use.
    #[allow(deprecated)]
    let prestart = hooks.prestart();
    let lists: [&Option<Vec<Hook>>; 2] = match point {
        Point::CreateRuntime => [prestart, hooks.create_runtime()],
        Point::CreateContainer => [hooks.create_container(), &None],
        Point::StartContainer => [hooks.start_container(), &None],
        Point::Poststart => [hooks.poststart(), &None],
        Point::Poststop => [hooks.poststop(), &None],
    };
    lists.into_iter().flatten().flatten().collect()
}

/// Whether there is anything to run at that point.
pub(crate) fn any(spec: &Spec, point: Point) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| !list(hooks, point).is_empty())
}

/// Runs the hooks of one point in order; the first failure ends it.
pub(crate) fn run(spec: &Spec, point: Point, state: &HookState) -> Result<()> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    for (index, hook) in list(hooks, point).into_iter().enumerate() {
        let name = match point {
            Point::CreateRuntime => "createRuntime",
            Point::CreateContainer => "createContainer",
            Point::StartContainer => "startContainer",
            Point::Poststart => "poststart",
            Point::Poststop => "poststop",
        };
        run_one(hook, state)
            .map_err(|error| Error::setup(format!("error running {name} hook #{index}: {error}")))?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &HookState) -> Result<()> {
    let mut command = Command::new(hook.path());
    if let Some((name, rest)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        std::os::unix::process::CommandExt::arg0(&mut command, name).args(rest);
    }
    command.env_clear();
    for (key, value) in hook.env().iter().flatten().filter_map(|entry| entry.split_once('=')) {
        command.env(key, value);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().setup(|| format!("fork/exec {}", hook.path().display()))?;
    let document = serde_json::to_vec(state).map_err(|error| Error::setup(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(&document);
    }
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    wait(&mut child, limit.map(Duration::from_secs))
}

fn wait(child: &mut Child, limit: Option<Duration>) -> Result<()> {
    let start = Instant::now();
    let status = loop {
        let Some(limit) = limit else { break child.wait().setup(|| "wait".into())? };
        if let Some(status) = child.try_wait().setup(|| "wait".into())? {
            break status;
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::setup(format!(
                "hook ran past specified timeout of {:.1}s",
                limit.as_secs_f64()
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
    }
    Err(Error::setup(format!("{status}, stdout: , stderr: {text}")))
}
