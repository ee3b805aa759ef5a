//! Pulls that are interrupted and taken up again.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use wharf_tests::{Archive, Pty, TestDaemon, sha256, until};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with one image, `big`, whose layer comes to a stop in the middle until it is told to go on.
struct Slow {
    address: String,
    going: Arc<AtomicBool>,
    /// Where each request for the layer began.
    offsets: Arc<Mutex<Vec<usize>>>,
}

impl Slow {
    fn start() -> Slow {
        // Bytes that nothing can shorten, so that half of the blob is half of the work.
        let mut state = 1u64;
        let filler: Vec<u8> = (0..6 << 20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let image = Archive::busybox_with("whole", &filler);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = Slow {
            address: listener.local_addr().unwrap().to_string(),
            going: Arc::default(),
            offsets: Arc::default(),
        };
        let (going, offsets) = (slow.going.clone(), slow.offsets.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (image, going, offsets) = (image.clone(), going.clone(), offsets.clone());
                thread::spawn(move || answer(stream, &image, &going, &offsets));
            }
        });
        slow
    }

    fn image(&self) -> String {
        format!("{}/big", self.address)
    }
}

fn answer(
    mut stream: TcpStream,
    image: &Archive,
    going: &AtomicBool,
    offsets: &Mutex<Vec<usize>>,
) -> std::io::Result<()> {
    let mut first = [0];
    if stream.peek(&mut first)? == 0 || first[0] == 0x16 {
        return Ok(());
    }
    let lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let mut words = head[0].split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let descriptor =
        |kind: &str, data: &[u8]| json!({"mediaType": kind, "digest": sha256(data), "size": data.len()});
    let layer = path.ends_with(&sha256(&image.layer));
    let body = match path {
        _ if layer => image.layer.clone(),
        path if path.contains("/manifests/") => json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &image.config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &image.layer)],
        })
        .to_string()
        .into_bytes(),
        path if path.ends_with(&sha256(&image.config)) => image.config.clone(),
        _ => b"{}".to_vec(),
    };
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let offset = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let status = if offset > 0 { "206 Partial Content" } else { "200 OK" };
    let (rest, size) = (&body[offset..], body.len());
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {MANIFEST}\r\nContent-Length: {}\r\nContent-Range: bytes {offset}-{}/{size}\r\n\
         Connection: close\r\n\r\n",
        rest.len(),
        size - 1
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    if !layer {
        return stream.write_all(rest);
    }
    offsets.lock().unwrap().push(offset);
    let half = rest.len() / 2;
    stream.write_all(&rest[..half])?;
    while !going.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(20));
    }
    stream.write_all(&rest[half..])
}

/// Length of what is kept of unfinished downloads.
fn kept(daemon: &TestDaemon) -> u64 {
    let entries = fs::read_dir(daemon.data().join("content")).unwrap().flatten();
    entries.map(|entry| entry.metadata().unwrap().len()).sum()
}

fn partial_is_written(daemon: &TestDaemon) {
    assert!(until(Duration::from_secs(20), || kept(daemon) > 2 << 20), "{}", daemon.log());
}

fn whole(daemon: &TestDaemon, slow: &Slow) {
    slow.going.store(true, Ordering::SeqCst);
    daemon.run(&["pull", "-q", &slow.image()]);
    assert_eq!(daemon.run(&["run", "--rm", &slow.image()]), "whole");
    let offsets = slow.offsets.lock().unwrap().clone();
    assert!(offsets.len() == 2 && offsets[1] > 2 << 20, "{offsets:?}");
    assert_eq!(kept(daemon), 0);
}

#[test]
fn a_pull_goes_on_after_the_engine_was_killed() {
    let mut daemon = TestDaemon::start("killed");
    let slow = Slow::start();
    let mut client = daemon.command(&["pull", &slow.image()]).spawn().unwrap();
    partial_is_written(&daemon);
    daemon.kill();
    assert!(!client.wait().unwrap().success());
    daemon.launch();
    assert!(!daemon.run(&["images", "-a"]).contains("/big"));
    assert_eq!(unfinished_layers(&daemon.data()), 0);
    whole(&daemon, &slow);
}

#[test]
fn a_client_that_goes_ends_its_pull() {
    let daemon = TestDaemon::start("gone");
    let slow = Slow::start();
    let mut client = daemon.command(&["pull", &slow.image()]).spawn().unwrap();
    partial_is_written(&daemon);
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(
        until(Duration::from_secs(20), || unfinished_layers(&daemon.data()) == 0),
        "the transfer goes on:\n{}",
        daemon.log()
    );
    whole(&daemon, &slow);
}

#[test]
fn a_beginning_that_is_not_of_the_blob_is_not_believed() {
    let mut daemon = TestDaemon::start("beginning");
    let slow = Slow::start();
    let mut client = daemon.command(&["pull", &slow.image()]).spawn().unwrap();
    partial_is_written(&daemon);
    daemon.kill();
    client.wait().unwrap();
    let file = fs::read_dir(daemon.data().join("content")).unwrap().flatten().next().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    daemon.launch();
    slow.going.store(true, Ordering::SeqCst);
    daemon.run(&["pull", "-q", &slow.image()]);
    assert_eq!(daemon.run(&["run", "--rm", &slow.image()]), "whole");
    assert_eq!((slow.offsets.lock().unwrap().last(), kept(&daemon)), (Some(&0), 0));
}

#[test]
fn what_nobody_goes_on_with_is_pruned() {
    let mut daemon = TestDaemon::start("unwanted");
    let slow = Slow::start();
    let mut client = daemon.command(&["pull", &slow.image()]).spawn().unwrap();
    partial_is_written(&daemon);
    // A pull that runs is not disturbed.
    daemon.run(&["image", "prune", "-f"]);
    assert!(kept(&daemon) > 2 << 20);
    daemon.kill();
    client.wait().unwrap();
    daemon.launch();
    // A filter says what images have; this has nothing yet.
    daemon.run(&["image", "prune", "-f", "--filter", "label=x"]);
    assert!(kept(&daemon) > 2 << 20);
    let said = daemon.run(&["system", "prune", "-f"]);
    let space = said.lines().find_map(|line| line.strip_prefix("Total reclaimed space: ")).expect(&said);
    assert!(space.ends_with("MB"), "{said}");
    assert_eq!(kept(&daemon), 0);
    slow.going.store(true, Ordering::SeqCst);
    daemon.run(&["pull", "-q", &slow.image()]);
    assert_eq!(*slow.offsets.lock().unwrap(), [0, 0]);
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let daemon = TestDaemon::start("bars");
    let slow = Slow::start();
    let mut terminal = Pty::spawn(&daemon.command(&["pull", &slow.image()]));
    terminal.expect("Using default tag: latest");
    terminal.expect("latest: Pulling from big");
    // What has come and what is to come; a bar needs a wider terminal than this one is at first.
    terminal.expect("Downloading  ");
    terminal.expect("kB/8.");
    terminal.resize(24, 160);
    slow.going.store(true, Ordering::SeqCst);
    terminal.expect("[====");
    terminal.expect("Pull complete");
    terminal.expect("Status: Downloaded newer image for ");
    assert_eq!(terminal.wait(), 0);
    // Lines are drawn again in their place.
    let text = terminal.text();
    assert!(text.contains("\x1b[1A") && text.contains("\x1b[2K"), "{text:?}");
}

/// Folders of layers that are being unpacked.
fn unfinished_layers(data: &Path) -> usize {
    let entries = fs::read_dir(data.join("snapshots")).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp-")).count()
}
