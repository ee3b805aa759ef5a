//! What is done to a running container.

use serde_json::json;
use wharf_monitor::{ErrorKind, Event, LogDriver, State};

use crate::Case;
use crate::fixture::{Bundle, eventually, read_until, refused};

pub(crate) const CASES: &[Case] = &[
    ("container::signals", signals),
    ("container::pause_and_resume", pause_and_resume),
    ("container::a_full_disk_loses_entries_and_blocks_nothing", a_full_disk),
    ("container::lack_of_memory_is_told", lack_of_memory_is_told),
    ("container::the_log_can_be_flushed_and_opened_anew", the_log_can_be_flushed_and_opened_anew),
    ("container::no_log", no_log),
];

fn signals() {
    let run =
        Bundle::new("trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done").launch();
    let stream = run.attach(false);
    run.client.start().unwrap();
    read_until(&stream, "ready");
    refused(run.client.kill(999, false), ErrorKind::InvalidRequest);
    run.client.kill(34, false).unwrap();
    run.client.kill(15, true).unwrap();
    assert_eq!(run.exit().exit_code, 9);
    refused(run.client.kill(15, false), ErrorKind::NotRunning);
    assert_eq!(run.bundle.log("stdout"), "ready\ngot it\n");
}

fn pause_and_resume() {
    let run = Bundle::new("while :; do echo tick; sleep 0.01; done").start();
    refused(run.client.resume(), ErrorKind::NotPaused);
    run.client.pause().unwrap();
    refused(run.client.pause(), ErrorKind::Paused);
    assert_eq!(run.client.status().unwrap().state, State::Paused);
    run.client.flush_log().unwrap();
    let before = run.client.status().unwrap().log.lines;
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(run.client.status().unwrap().log.lines, before);
    run.client.resume().unwrap();
    eventually("it goes on", || run.client.status().unwrap().log.lines > before);
    run.client.pause().unwrap();
    run.client.kill(9, false).unwrap();
    assert_eq!(run.exit().exit_code, 137, "a frozen container can be killed");
    let events: Vec<Event> = run.client.events(1).unwrap().take(4).map(|e| e.unwrap().event).collect();
    assert_eq!(events, [Event::Paused, Event::Resumed, Event::Paused, Event::Resumed]);
}

fn a_full_disk() {
    let mut bundle = Bundle::new("seq 1 100000");
    let disk = bundle.temp.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    rustix::mount::mount("tmpfs", &disk, "tmpfs", rustix::mount::MountFlags::empty(), c"size=1m").unwrap();
    bundle.config.log.path = disk.join("c.log");
    let run = bundle.start();
    assert_eq!(run.exit().exit_code, 0);
    let log = run.client.status().unwrap().log;
    assert_eq!(log.lines + log.dropped_lines, 100_000);
    assert!(log.lines > 10_000 && log.dropped_lines > 10_000, "{log:?}");
    let kept = run.bundle.log("stdout");
    assert_eq!(kept.lines().count() as u64, log.lines, "every entry in the file is whole");
    run.client.release().unwrap();
}

fn lack_of_memory_is_told() {
    let mut bundle = Bundle::new("x=a; while :; do x=$x$x; done");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20});
    let run = bundle.start();
    let status = run.exit();
    assert_eq!((status.exit_code, status.oom_killed), (137, true));
    let events: Vec<Event> = run.client.events(1).unwrap().take(2).map(|e| e.unwrap().event).collect();
    assert_eq!(events[0], Event::Oom);
}

fn the_log_can_be_flushed_and_opened_anew() {
    let run = Bundle::new("echo one; read x < /tmp/fifo; echo two; sleep 1000");
    let fifo = run.temp.path().join("root/tmp/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let run = run.start();
    eventually("one", || run.client.flush_log().is_ok() && run.bundle.log("stdout") == "one\n");
    let path = &run.bundle.config.log.path;
    std::fs::rename(path, path.with_extension("old")).unwrap();
    run.client.reopen_log().unwrap();
    std::fs::write(fifo, "x\n").unwrap();
    eventually("two", || run.bundle.log("stdout") == "two\n");
}

fn no_log() {
    let mut bundle = Bundle::new("seq 1 100000");
    bundle.config.log.driver = LogDriver::None;
    let run = bundle.start();
    assert_eq!(run.exit().exit_code, 0);
    assert!(!run.bundle.config.log.path.exists());
}
