//! Figures, printed by `cargo test --release -p wharf-monitor --test monitor -- measure [latency] [exec] [memory] [log] [start]`.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wharf_monitor::{ExecSpec, Launcher};

use crate::fixture::{self, Bundle, exit};

/// Takes the figures named, or all.
pub(crate) fn run(names: &[String]) {
    let figures = [
        ("latency", launch_latency as fn()),
        ("exec", exec_latency),
        ("memory", memory),
        ("log", log_rate),
        ("start", ways_to_start),
    ];
    let chosen = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    figures.iter().filter(|(name, _)| chosen(name)).for_each(|(_, figure)| figure());
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("median {:?}, min {:?}", times[times.len() / 2], times[0])
}

fn launch_latency() {
    let launcher = Launcher::spawn().unwrap();
    let (mut created, mut started, mut exited) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..200 {
        let bundle = Bundle::new("").args(&["true"]);
        let dir = bundle.write();
        let start = Instant::now();
        let client = launcher.launch(dir).unwrap();
        client.created().unwrap();
        created.push(start.elapsed());
        client.start().unwrap();
        started.push(start.elapsed());
        assert_eq!(exit(&client).exit_code, 0);
        exited.push(start.elapsed());
    }
    println!("launch to created: {}", median(created));
    println!("launch to started: {}", median(started));
    println!("launch to exited:  {}", median(exited));
}

fn exec_latency() {
    let run = Bundle::new("sleep 1000").start();
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for i in 0..200 {
        let process = serde_json::from_value(fixture::process(&["true"])).unwrap();
        let spec = ExecSpec { id: i.to_string(), process, stdout: true, stderr: true, ..ExecSpec::default() };
        let start = Instant::now();
        let exec = run.client.exec(&spec).unwrap();
        started.push(start.elapsed());
        fixture::read_to_end(exec.stream.unwrap());
        ended.push(start.elapsed());
    }
    println!("exec to started: {}", median(started));
    println!("exec to the end of its stream: {}", median(ended));
}

/// Proportional and private memory in KiB.
fn rollup(pid: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let value = |key: &str| -> u64 {
        let line = text.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (value("Pss:"), value("Private_Dirty:") + value("Private_Clean:"))
}

fn memory() {
    for count in [1, 10, 50] {
        let launcher = Launcher::spawn().unwrap();
        let bundles: Vec<Bundle> = (0..count).map(|_| Bundle::new("echo x; exec sleep 1000")).collect();
        let clients: Vec<_> = bundles
            .iter()
            .map(|bundle| {
                let client = launcher.launch(bundle.write()).unwrap();
                client.start().unwrap();
                client
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        let (pss, private) = clients
            .iter()
            .map(|c| rollup(c.status().unwrap().monitor_pid))
            .fold((0, 0), |sum, m| (sum.0 + m.0, sum.1 + m.1));
        let launcher = rollup(launcher.pid() as i32);
        println!(
            "{count} monitors: PSS {} KiB and private {} KiB each; the launcher: PSS {} KiB",
            pss / count,
            private / count,
            launcher.0
        );
        for client in clients {
            client.kill(9, false).unwrap();
            exit(&client);
        }
    }
}

/// A monitor without its container: forked from the launcher until it answers that it has no configuration, beside the
/// same binary executed anew until it says a byte.
fn ways_to_start() {
    let launcher = Launcher::spawn().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let forked = (0..500).map(|_| {
        let start = Instant::now();
        launcher.launch(dir.path()).unwrap().created().unwrap_err();
        start.elapsed()
    });
    println!("forked: {}", median(forked.collect()));
    let mut processes = Vec::new();
    let executed = (0..100).map(|_| {
        let start = Instant::now();
        let mut process =
            Command::new("/proc/self/exe").arg0(EXECUTED).stdout(Stdio::piped()).spawn().unwrap();
        process.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let time = start.elapsed();
        processes.push(process);
        time
    });
    println!("executed: {}", median(executed.collect()));
    let (pss, private) =
        processes.iter().map(|p| rollup(p.id() as i32)).fold((0, 0), |s, m| (s.0 + m.0, s.1 + m.1));
    println!("executed, {}: PSS {} KiB and private {} KiB each", processes.len(), pss / 100, private / 100);
    for mut process in processes {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// `argv[0]` of a process that stands for a monitor which was executed instead of forked.
pub(crate) const EXECUTED: &str = "monitor-test-executed";

/// Reads documents as a monitor does, says so and waits.
pub(crate) fn executed() -> ! {
    let spec: wharf_oci::runtime::Spec = serde_json::from_value(fixture::spec("x", &["true"])).unwrap();
    let buffer = vec![0u8; 64 << 10];
    println!("x");
    loop {
        std::thread::park();
        std::hint::black_box((&spec, &buffer));
    }
}

/// Output in writes of 64 KiB, in lines of 100 bytes.
fn log_rate() {
    let line = "x".repeat(99);
    let script = format!(
        "yes {line} | head -c 104857600 >/tmp/in; read x </tmp/fifo; \
         for i in 1 2 3 4 5 6 7 8 9 10; do dd if=/tmp/in bs=65536 2>/dev/null; done"
    );
    let mut bundle = Bundle::new(&script);
    bundle.config.log.path = bundle.temp.path().join("c.log");
    let fifo = bundle.temp.path().join("root/tmp/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let launcher = Launcher::spawn().unwrap();
    let client = launcher.launch(bundle.write()).unwrap();
    client.start().unwrap();
    fs::write(fifo, "x\n").unwrap();
    let start = Instant::now();
    exit(&client);
    let seconds = start.elapsed().as_secs_f64();
    let status = client.status().unwrap();
    let micros = processor_time(status.monitor_pid).as_micros() / 16_000;
    println!("log: {:.0} MB/s of output, {micros} us of the monitor per 64 KiB", 1048.576 / seconds);
}

/// User and system time of a process.
fn processor_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
