//! Exec sessions.

use std::io::Write;
use std::net::Shutdown;

use wharf_monitor::{ErrorKind, Event, ExecSpec};

use crate::Case;
use crate::fixture::{Bundle, Running, alive, demultiplex, process, read_to_end, read_until, refused};

pub(crate) const CASES: &[Case] = &[
    ("exec::output_input_and_exit_code", output_input_and_exit_code),
    ("exec::a_terminal", a_terminal),
    ("exec::failures", failures),
    ("exec::several_at_once", several_at_once),
    ("exec::detached_ones_end_with_the_container", detached_ones_end_with_the_container),
];

fn spec(id: &str, script: &str) -> ExecSpec {
    ExecSpec {
        id: id.into(),
        process: serde_json::from_value(process(&["sh", "-c", script])).unwrap(),
        stdout: true,
        stderr: true,
        ..ExecSpec::default()
    }
}

fn exec_exit(run: &Running, id: &str) -> i32 {
    for event in run.client.events(0).unwrap() {
        if let Event::ExecExited { id: i, exit_code } = event.unwrap().event
            && i == id
        {
            return exit_code;
        }
    }
    panic!("no end of {id}");
}

fn output_input_and_exit_code() {
    let run = Bundle::new("sleep 1000").start();
    let spec = ExecSpec { stdin: true, ..spec("e1", "cat; echo err >&2; exit 6") };
    let exec = run.client.exec(&spec).unwrap();
    assert!(alive(exec.pid));
    let mut stream = exec.stream.unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(demultiplex(&read_to_end(stream)), (b"hello".to_vec(), b"err\n".to_vec()));
    assert_eq!(exec_exit(&run, "e1"), 6);
    assert_eq!(run.bundle.log("stdout"), "", "the log is the container's");
    let exec = run.client.exec(&self::spec("e2", "kill -9 $$")).unwrap();
    read_to_end(exec.stream.unwrap());
    assert_eq!(exec_exit(&run, "e2"), 137);
}

fn a_terminal() {
    let run = Bundle::new("sleep 1000").start();
    let spec = ExecSpec { stdin: true, terminal: true, ..spec("t", "tty; exec sh") };
    let mut stream = run.client.exec(&spec).unwrap().stream.unwrap();
    read_until(&stream, "/dev/pts/");
    run.client.exec_resize("t", 50, 150).unwrap();
    stream.write_all(b"stty size\n").unwrap();
    read_until(&stream, "50 150");
    stream.write_all(b"\x10\x11").unwrap();
    read_to_end(stream);
    assert_eq!(run.client.status().unwrap().execs.len(), 1, "detached, it goes on");
    run.client.exec_kill("t", 9).unwrap();
    assert_eq!(exec_exit(&run, "t"), 137);
}

fn failures() {
    let run = Bundle::new("sleep 1000").launch();
    refused(run.client.exec(&spec("x", "true")), ErrorKind::NotRunning);
    run.client.start().unwrap();
    let mut missing = spec("x", "");
    missing.process.set_args(Some(vec!["nosuch".into()]));
    let message = refused(run.client.exec(&missing), ErrorKind::NotFound);
    assert!(message.contains("exec: \"nosuch\": executable file not found in $PATH"), "{message}");
    run.client.exec(&ExecSpec { detach: true, ..spec("x", "sleep 1000") }).unwrap();
    refused(run.client.exec(&spec("x", "true")), ErrorKind::Exists);
    refused(run.client.exec_resize("y", 1, 1), ErrorKind::NoSuchExec);
    run.client.pause().unwrap();
    refused(run.client.exec(&spec("z", "true")), ErrorKind::Paused);
}

fn several_at_once() {
    let run = Bundle::new("sleep 1000").start();
    let streams: Vec<_> = (0..20)
        .map(|i| run.client.exec(&spec(&format!("e{i}"), &format!("seq 1 20000; exit {i}"))).unwrap().stream)
        .collect();
    let expected: String = (1..=20_000).map(|i| format!("{i}\n")).collect();
    for (i, stream) in streams.into_iter().enumerate() {
        assert!(demultiplex(&read_to_end(stream.unwrap())).0 == expected.as_bytes(), "{i}");
        assert_eq!(exec_exit(&run, &format!("e{i}")), i as i32);
    }
    assert_eq!(run.client.status().unwrap().execs, []);
}

fn detached_ones_end_with_the_container() {
    let run = Bundle::new("sleep 1000").start();
    let exec = run.client.exec(&ExecSpec { detach: true, ..spec("d", "sleep 1000") }).unwrap();
    assert!(exec.stream.is_none());
    run.client.kill(9, false).unwrap();
    assert_eq!(run.exit().exit_code, 137);
    assert!(!alive(exec.pid));
    assert_eq!(exec_exit(&run, "d"), 137);
}
