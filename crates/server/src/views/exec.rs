//! Exec sessions as `GET /exec/{id}/json` shows them.

use wharf_api::exec::{Inspect, ProcessConfig};
use wharf_engine::{Exec, ExecState};

/// The answer of `GET /exec/{id}/json`.
pub(crate) fn inspect(exec: Exec) -> Inspect {
    let (running, exit_code, pid) = match exec.state {
        ExecState::Created => (false, None, 0),
        ExecState::Running(pid) => (true, None, pid),
        ExecState::Exited(code) => (false, Some(code.into()), 0),
    };
    let request = exec.request;
    let mut command = request.cmd.unwrap_or_default().0.into_iter();
    Inspect {
        id: exec.id,
        running,
        exit_code,
        process_config: ProcessConfig {
            tty: request.tty,
            entrypoint: command.next().unwrap_or_default(),
            arguments: command.collect(),
            privileged: Some(request.privileged),
            user: request.user,
        },
        open_stdin: request.attach_stdin,
        open_stderr: request.attach_stderr,
        open_stdout: request.attach_stdout,
        can_remove: exit_code.is_some(),
        container_id: exec.container,
        detach_keys: request.detach_keys,
        pid: pid.into(),
    }
}
