//! Attached streams.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use wharf_monitor::{AttachSpec, ConsoleSize, ErrorKind, Event, State};

use crate::Case;
use crate::fixture::{Bundle, demultiplex, eventually, read_to_end, read_until, refused};

pub(crate) const CASES: &[Case] = &[
    ("attach::a_reader_that_stands_still_blocks_nothing_and_loses_nothing", a_reader_that_stands_still),
    ("attach::the_end_of_input_is_the_processs_when_stdin_once", the_end_of_input),
    ("attach::the_end_of_input_otherwise_ends_the_stream_only", the_end_of_input_otherwise),
    ("attach::input_that_nobody_reads_blocks_nothing", input_that_nobody_reads),
    ("attach::a_terminal_with_size_and_detach_keys", a_terminal_with_size_and_detach_keys),
    ("attach::a_terminal_that_nobody_has_open", a_terminal_that_nobody_has_open),
    ("attach::several_streams_see_the_same", several_streams_see_the_same),
    ("attach::a_reader_that_leaves_is_forgotten", a_reader_that_leaves_is_forgotten),
];

fn a_reader_that_stands_still() {
    let run = Bundle::new("seq 1 3000000").launch();
    let stream = run.attach(false);
    run.client.start().unwrap();
    let status = run.exit();
    assert_eq!(status.exit_code, 0);
    let expected: String = (1..=3_000_000).map(|i| format!("{i}\n")).collect();
    let (stdout, _) = demultiplex(&read_to_end(stream));
    assert!(stdout == expected.as_bytes(), "{} of {} bytes", stdout.len(), expected.len());
    run.client.release().unwrap();
}

fn the_end_of_input() {
    let mut bundle = Bundle::new("cat; echo end");
    (bundle.config.open_stdin, bundle.config.stdin_once) = (true, true);
    let run = bundle.launch();
    let mut stream = run.attach(true);
    // Before the start it waits in the pipe.
    stream.write_all(b"early\n").unwrap();
    run.client.start().unwrap();
    stream.write_all(b"late").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(demultiplex(&read_to_end(stream)).0, b"early\nlateend\n");
    assert_eq!(run.exit().exit_code, 0);
}

fn the_end_of_input_otherwise() {
    let mut bundle = Bundle::new("cat");
    bundle.config.open_stdin = true;
    let run = bundle.start();
    for text in [&b"one\n"[..], b"two\n"] {
        let mut stream = run.attach(true);
        stream.write_all(text).unwrap();
        read_until(&stream, std::str::from_utf8(text).unwrap());
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(stream), b"");
    }
    assert_eq!(run.client.status().unwrap().state, State::Running);
    assert_eq!(run.bundle.log("stdout"), "one\ntwo\n");
}

fn input_that_nobody_reads() {
    let mut bundle = Bundle::new("sleep 1000");
    (bundle.config.open_stdin, bundle.config.stdin_once) = (true, true);
    let run = bundle.start();
    let mut stream = run.attach(true);
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(stream.write_all(&vec![b'x'; 4 << 20]).is_err(), "a pipe, a queue and a socket hold less");
    assert_eq!(run.client.status().unwrap().attachers, 1);
    drop(stream);
    eventually("it is gone", || run.client.status().unwrap().attachers == 0);
    run.client.kill(9, false).unwrap();
    assert_eq!(run.exit().exit_code, 137);
}

fn a_terminal_with_size_and_detach_keys() {
    let mut bundle = Bundle::new("stty size; exec sh").terminal();
    bundle.config.open_stdin = true;
    bundle.config.console_size = Some(ConsoleSize { height: 33, width: 99 });
    let run = bundle.launch();
    let bad = AttachSpec { detach_keys: "ctrl-ü".into(), ..AttachSpec::default() };
    assert_eq!(
        refused(run.client.attach(&bad), ErrorKind::InvalidRequest),
        "Invalid detach keys (ctrl-ü) provided"
    );
    let mut stream = run.attach(true);
    run.client.start().unwrap();
    read_until(&stream, "33 99\r\n");
    run.client.resize(40, 120).unwrap();
    stream.write_all(b"stty size; tty; id\n").unwrap();
    let seen = read_until(&stream, "uid=0");
    assert!(seen.contains("40 120\r\n"), "{seen:?}");
    // A broken sequence reaches the shell, whose line editor takes ctrl-p for "previous line".
    let mut custom = run
        .client
        .attach(&AttachSpec {
            stdin: true,
            stdout: true,
            detach_keys: "ctrl-x,x".into(),
            ..AttachSpec::default()
        })
        .unwrap();
    custom.write_all(b"echo ab\x18").unwrap();
    custom.write_all(b"x").unwrap();
    let _ = read_to_end(custom);
    stream.write_all(b"c\n").unwrap();
    read_until(&stream, "abc\r\n");
    stream.write_all(b"\x10\x11").unwrap();
    let _ = read_to_end(stream);
    let events: Vec<Event> = run.client.events(0).unwrap().take(3).map(|e| e.unwrap().event).collect();
    assert_eq!(events[1..], [Event::Detached { exec: None }, Event::Detached { exec: None }]);
    assert_eq!(run.client.status().unwrap().state, State::Running);
    // What is typed last is an exit.
    let mut stream = run.attach(true);
    stream.write_all(b"exit 5\n").unwrap();
    assert!(String::from_utf8(read_to_end(stream)).unwrap().contains("exit 5"));
    assert_eq!(run.exit().exit_code, 5);
    assert!(run.bundle.log("stdout").contains("33 99\r\n"));
}

fn a_terminal_that_nobody_has_open() {
    let script =
        "exec 3<&0; exec sh -c 'exec 0<&- 1>&- 2>&- 3<&-; sleep 1; echo again >/dev/console; exit 4'";
    let run = Bundle::new(script).terminal().start();
    let pid = run.monitor_pid();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .skip(11)
            .take(2)
            .map(|f| f.parse().unwrap())
            .collect();
        fields[0] + fields[1]
    };
    std::thread::sleep(Duration::from_millis(200));
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    assert!(ticks() - before < 10, "the monitor must not spin");
    assert_eq!(run.exit().exit_code, 4);
    assert_eq!(run.bundle.log("stdout"), "again\r\n");
}

fn several_streams_see_the_same() {
    let run = Bundle::new("seq 1 100000").launch();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let stream = run.attach(false);
            std::thread::spawn(move || demultiplex(&read_to_end(stream)).0)
        })
        .collect();
    run.client.start().unwrap();
    let expected: String = (1..=100_000).map(|i| format!("{i}\n")).collect();
    for reader in readers {
        assert!(reader.join().unwrap() == expected.as_bytes());
    }
    assert!(run.bundle.log("stdout") == expected);
}

fn a_reader_that_leaves_is_forgotten() {
    let run = Bundle::new("yes | head -c 30000000; sleep 1000").launch();
    let stream = run.attach(false);
    run.client.start().unwrap();
    read_until(&stream, "y\ny\n");
    drop(stream);
    eventually("it is gone", || run.client.status().unwrap().attachers == 0);
    eventually("all is logged", || run.client.status().unwrap().log.lines == 15_000_000);
}
