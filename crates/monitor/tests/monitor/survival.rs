//! The daemon dies; the container does not notice.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use wharf_monitor::{AttachSpec, Client, Event, Launcher, State, read_exit};

use crate::Case;
use crate::fixture::{Bundle, alive, demultiplex, eventually, exit, read_to_end};

pub(crate) const CASES: &[Case] = &[
    ("survival::a_killed_daemon_loses_nothing", a_killed_daemon_loses_nothing),
    ("survival::an_exit_nobody_saw_is_on_record", an_exit_nobody_saw_is_on_record),
    ("survival::events_are_replayed", events_are_replayed),
];

/// `argv[0]` of a process that launches one container and waits to be killed.
pub(crate) const DAEMON: &str = "monitor-test-daemon";

pub(crate) fn daemon(dir: &str) -> ! {
    let launcher = Launcher::spawn().unwrap();
    let client = launcher.launch(Path::new(dir)).unwrap();
    client.start().unwrap();
    let _events = client.events(0).unwrap();
    println!("started");
    loop {
        std::thread::park();
    }
}

/// Starts the container by a process of its own and kills that.
fn killed_daemon(bundle: &Bundle) {
    let mut daemon = Command::new("/proc/self/exe")
        .arg0(DAEMON)
        .arg(bundle.write())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

fn a_killed_daemon_loses_nothing() {
    let bundle = Bundle::new(
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read x < /tmp/fifo; exit 8",
    );
    let fifo = bundle.temp.path().join("root/tmp/fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    killed_daemon(&bundle);
    let client = Client::connect(&bundle.dir).unwrap();
    let status = client.status().unwrap();
    assert_eq!(status.state, State::Running);
    assert!(alive(client.created().unwrap()));
    let stream = client.attach(&AttachSpec { stdout: true, ..AttachSpec::default() }).unwrap();
    std::fs::write(fifo, "x\n").unwrap();
    assert_eq!(exit(&client).exit_code, 8);
    demultiplex(&read_to_end(stream));
    let expected: String = (0..3000).map(|i| format!("line {i}\n")).collect();
    assert_eq!(bundle.log("stdout"), expected);
    // The loss of the last connection releases the monitor.
    drop(client);
    eventually("the monitor goes", || !alive(status.monitor_pid));
}

fn an_exit_nobody_saw_is_on_record() {
    let bundle = Bundle::new("sleep 0.3; echo bye; kill -9 $$; exit 7");
    killed_daemon(&bundle);
    eventually("the monitor goes", || Client::connect(&bundle.dir).is_err());
    let exit = read_exit(&bundle.dir).unwrap().unwrap();
    // Init ignores a signal from its own namespace.
    assert_eq!((exit.exit_code, exit.signal), (7, None));
    assert_eq!(bundle.log("stdout"), "bye\n");
}

fn events_are_replayed() {
    let run = Bundle::new("sleep 1000").start();
    run.client.pause().unwrap();
    run.client.resume().unwrap();
    let again = Client::connect(&run.bundle.dir).unwrap();
    let events: Vec<_> = again.events(0).unwrap().take(3).map(|e| e.unwrap()).collect();
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(matches!(events[0].event, Event::Started { pid } if pid == run.pid));
    let later: Vec<_> = again.events(2).unwrap().take(1).map(|e| e.unwrap().event).collect();
    assert_eq!(later, [Event::Resumed]);
}
