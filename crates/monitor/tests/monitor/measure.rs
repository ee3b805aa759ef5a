//! Figures, printed by `cargo test --release -p wharf-monitor --test monitor -- measure`.

use std::fs;
use std::time::{Duration, Instant};

use wharf_monitor::Launcher;

use crate::fixture::{Bundle, exit};

pub(crate) fn run() {
    launch_latency();
    memory();
    log_rate();
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
    let status = client.status().unwrap().log;
    println!("log: {:.0} MB/s of output, {} entries", 1048.576 / seconds, status.lines);
}
