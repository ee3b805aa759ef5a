//! From the launch to the exit.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use wharf_monitor::{AttachSpec, Client, Error, ErrorKind, Event, Launcher, State, read_exit};

use crate::Case;
use crate::fixture::{Bundle, alive, demultiplex, eventually, read_to_end, read_until, refused};

pub(crate) const CASES: &[Case] = &[
    ("lifecycle::output_exit_code_and_cleanup", output_exit_code_and_cleanup),
    ("lifecycle::a_missing_program", a_missing_program),
    ("lifecycle::a_program_that_is_not_executable", a_program_that_is_not_executable),
    ("lifecycle::a_broken_specification", a_broken_specification),
    ("lifecycle::a_client_lost_before_the_start_is_an_abort", a_client_lost_before_the_start_is_an_abort),
    ("lifecycle::the_launcher_is_replaced", the_launcher_is_replaced),
    ("lifecycle::a_monitor_looks_like_one", a_monitor_looks_like_one),
    ("lifecycle::what_is_not_the_protocol_is_refused", what_is_not_the_protocol_is_refused),
];

fn output_exit_code_and_cleanup() {
    let run = Bundle::new("echo out; echo err >&2; printf unfinished; exit 3").launch();
    assert!(fs::exists(format!("/proc/{}/ns/net", run.pid)).unwrap());
    assert_eq!(run.client.status().unwrap().state, State::Created);
    let stream = run.attach(false);
    let only_stderr = AttachSpec { stderr: true, ..AttachSpec::default() };
    let only_stderr = run.client.attach(&only_stderr).unwrap();
    let started = run.client.start().unwrap();
    assert_eq!(started.pid, run.pid);
    let status = run.exit();
    assert_eq!((status.exit_code, status.signal, status.oom_killed), (3, None, false));
    assert_eq!(status.started_at.as_ref(), Some(&started.started_at));
    assert!(status.finished_at > started.started_at);
    assert_eq!(read_exit(&run.bundle.dir).unwrap().unwrap(), status);
    let expected = (b"out\nunfinished".to_vec(), b"err\n".to_vec());
    assert_eq!(demultiplex(&read_to_end(stream)), expected);
    assert_eq!(demultiplex(&read_to_end(only_stderr)), (vec![], b"err\n".to_vec()));
    assert_eq!(run.bundle.log("stdout"), "out\nunfinished");
    assert_eq!(run.bundle.log("stderr"), "err\n");
    assert_eq!(run.bundle.cgroups(), Vec::<std::path::PathBuf>::new());
    let status = run.client.status().unwrap();
    assert_eq!((status.state, status.pid, status.log.lines), (State::Exited, 0, 3));
    run.client.release().unwrap();
    eventually("the monitor goes", || !alive(status.monitor_pid));
    assert!(matches!(Client::connect(&run.bundle.dir), Err(Error::Gone { .. })));
}

fn failing_start(bundle: Bundle, kind: ErrorKind, code: i32) -> String {
    let run = bundle.launch();
    let monitor = run.monitor_pid();
    let message = refused(run.client.start(), kind);
    eventually("everything goes", || !alive(monitor) && !alive(run.pid));
    assert_eq!(run.bundle.cgroups(), Vec::<std::path::PathBuf>::new());
    let exit = read_exit(&run.bundle.dir).unwrap().unwrap();
    assert_eq!((exit.exit_code, exit.error.as_ref()), (code, Some(&message)));
    message
}

fn a_missing_program() {
    let message = failing_start(Bundle::new("").args(&["nosuch", "x"]), ErrorKind::NotFound, 127);
    assert!(message.ends_with("exec: \"nosuch\": executable file not found in $PATH"), "{message}");
}

fn a_program_that_is_not_executable() {
    let message = failing_start(Bundle::new("").args(&["/etc"]), ErrorKind::NotExecutable, 126);
    assert!(message.contains("permission denied"), "{message}");
}

fn a_broken_specification() {
    let mut bundle = Bundle::new("");
    bundle.spec["process"]["cwd"] = "relative".into();
    let launcher = Launcher::spawn().unwrap();
    let client = launcher.launch(bundle.write()).unwrap();
    let message = refused(client.created(), ErrorKind::BadProcess);
    assert!(message.contains("absolute path"), "{message}");
    fs::write(bundle.dir.join("monitor.json"), "{").unwrap();
    let client = launcher.launch(&bundle.dir).unwrap();
    let message = refused(client.created(), ErrorKind::Internal);
    assert!(message.contains("monitor.json"), "{message}");
}

fn a_client_lost_before_the_start_is_an_abort() {
    let bundle = Bundle::new("sleep 1000");
    let launcher = Launcher::spawn().unwrap();
    let client = launcher.launch(bundle.write()).unwrap();
    let (pid, monitor) = (client.created().unwrap(), client.status().unwrap().monitor_pid);
    let stream = client.attach(&AttachSpec::default()).unwrap();
    drop(client);
    assert_eq!(read_to_end(stream), b"");
    eventually("everything goes", || !alive(pid) && !alive(monitor));
    assert_eq!(bundle.cgroups(), Vec::<std::path::PathBuf>::new());
    assert!(read_exit(&bundle.dir).unwrap().is_none());
}

fn the_launcher_is_replaced() {
    let launcher = Launcher::spawn().unwrap();
    let first = launcher.pid();
    let pid = rustix::process::Pid::from_raw(first as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the launcher is dead", || !alive(first as i32));
    let bundle = Bundle::new("exit 0");
    let client = launcher.launch(bundle.write()).unwrap();
    client.start().unwrap();
    assert_ne!(launcher.pid(), first);
    assert!(client.events(0).unwrap().any(|e| matches!(e.unwrap().event, Event::Exited(_))));
}

fn a_monitor_looks_like_one() {
    let run = Bundle::new("sleep 1000").start();
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", run.monitor_pid())).unwrap();
    assert_eq!(proc("comm"), "wharf-mon\n");
    assert_eq!(proc("cmdline").trim_end_matches('\0'), format!("wharf-monitor {}", run.bundle.config.id));
    let stat = proc("stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(fields[3], run.monitor_pid().to_string(), "it leads its own session");
    assert_eq!(fields[17], "1", "it has one thread");
    // The binary cannot be written through the monitor: it is sealed, or on a read-only mount.
    let exe = fs::File::open(format!("/proc/{}/exe", run.monitor_pid())).unwrap();
    let sealed = rustix::fs::fcntl_get_seals(&exe).is_ok_and(|s| s.contains(rustix::fs::SealFlags::WRITE));
    let flags = rustix::fs::fstatvfs(&exe).unwrap().f_flag;
    assert!(sealed || flags.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    // Signals but SIGKILL do nothing.
    let pid = rustix::process::Pid::from_raw(run.monitor_pid()).unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP, rustix::process::Signal::INT]
    {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    assert_eq!(run.client.status().unwrap().state, State::Running);
}

fn what_is_not_the_protocol_is_refused() {
    let run = Bundle::new("sleep 1000").start();
    let (connection, _) = run.client.events(1_000).unwrap().into_parts();
    // A subscriber has nothing to say.
    (&connection).write_all(b"noise").unwrap();
    for (junk, answer) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "exceed the limit"),
        (b"\0\0\0\x02{}", "missing field `type`"),
        (b"\0\0\0\x0f{\"type\":\"jump\"}", "unknown request"),
    ] {
        let folder = fs::File::open(&run.bundle.dir).unwrap();
        let mut stream = UnixStream::connect(format!("/proc/self/fd/{}/sock", folder.as_raw_fd())).unwrap();
        stream.write_all(junk).unwrap();
        let seen = read_until(&stream, answer);
        assert!(seen.contains("\"kind\":\"invalid_request\""), "{seen}");
    }
    assert_eq!(run.client.status().unwrap().state, State::Running);
}
