//! The registry server by itself beside Debian's `docker-registry`: blobs over plain HTTP, and memory under many clients.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    figures,
    fixture::{Noise, digest},
    median,
    registries::Registry,
};

/// Megabytes of a blob, and how often it goes there and back.
const MEGABYTES: usize = 300;
const ROUNDS: usize = 5;
/// Clients at once in the measurement of memory, and megabytes that each pushes and pulls.
const CLIENTS: usize = 64;
const SHARE: usize = 8;

/// Rates of single blobs, and the memory that many clients at once take.
///
/// # Errors
/// A registry failed, or gave back other bytes.
pub(super) fn blobs(binary: &Path, folder: &Path) -> Result<()> {
    let own = Registry::own(&folder.join("registry-own"), binary)?;
    let sides = [Some(own), Registry::reference(&folder.join("registry")).ok()];
    let sides: Vec<&Registry> = sides.iter().flatten().collect();
    let mut rates = vec![[Vec::new(), Vec::new()]; sides.len()];
    let (bare, mut bare_rates) = (bare_server(MEGABYTES * 1_000_000)?, Vec::new());
    for round in 0..=ROUNDS {
        let blob = Noise::new(round as u64).bytes(MEGABYTES * 1_000_000);
        let digest = digest(&blob);
        for (side, rates) in sides.iter().zip(&mut rates) {
            let push = rate(|| push(&side.address, &blob, &digest))?;
            let pull = rate(|| pull(&side.address, &digest, blob.len()))?;
            if round > 0 {
                rates[0].push(push);
                rates[1].push(pull);
            }
        }
        bare_rates.push(rate(|| pull(&bare, &digest, blob.len()))?);
    }
    for (at, title) in ["registry server, blob PUT", "registry server, blob GET"].into_iter().enumerate() {
        let medians: Vec<f64> = rates.iter().map(|rates| median(rates[at].clone())).collect();
        let ratio = medians.get(1).map(|peer| medians[0] / peer);
        figures(title, &medians, |rate| format!("{rate:.0} MB/s"), ratio);
    }
    // What is left to gain by a better server.
    let title = "no registry, zeros written from memory, GET";
    figures(title, &[median(bare_rates)], |rate| format!("{rate:.0} MB/s"), None);
    let most: Vec<f64> = sides.iter().map(|side| crowd(side)).collect::<Result<_>>()?;
    let title = format!("registry server, most memory with {CLIENTS} clients");
    figures(&title, &most, |mebibytes| format!("{mebibytes:.0} MiB"), None);
    for name in ["registry-own", "registry"] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
    Ok(())
}

/// Answers every request with so many zeros; returns its address. Ends with the process.
fn bare_server(length: usize) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        let zeros = vec![0; 256 << 10];
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = BufReader::new(stream);
            let _ = head_of(&mut stream).and_then(|_| {
                write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
                let zeros = std::iter::repeat_n(&zeros, length / zeros.len() + 1);
                zeros.into_iter().try_for_each(|zeros| Ok(stream.get_mut().write_all(zeros)?))
            });
        }
    });
    Ok(address)
}

fn rate(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(MEGABYTES as f64 / begin.elapsed().as_secs_f64())
}

/// Many clients push a blob and pull it again, all at once. Returns the most resident memory seen, in MiB.
fn crowd(side: &Registry) -> Result<f64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0.0f64;
            while !done.load(Ordering::Relaxed) {
                most = most.max(resident(side.pid()).unwrap_or_default());
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let blob = Noise::new(1000 + client as u64).bytes(SHARE * 1_000_000);
                    let digest = digest(&blob);
                    push(&side.address, &blob, &digest)?;
                    pull(&side.address, &digest, blob.len())
                })
            })
            .collect();
        let join = |client: thread::ScopedJoinHandle<'_, Result<()>>| {
            client.join().map_err(|_| anyhow::anyhow!("panicked"))?
        };
        let served = clients.into_iter().map(join).fold(Ok(()), Result::and);
        done.store(true, Ordering::Relaxed);
        let most = watch.join().map_err(|_| anyhow::anyhow!("panicked"));
        served.and(most)
    })
}

/// Resident memory in MiB, without pages of files: see proc_pid_status(5).
fn resident(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

fn push(address: &str, blob: &[u8], digest: &str) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    let head = "POST /v2/bench/blobs/uploads/ HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes())?;
    let answer = head_of(&mut stream)?;
    let location = header(&answer, "location").context("no Location")?;
    let path = location
        .strip_prefix("http://")
        .map_or(location, |rest| rest.split_at(rest.find('/').unwrap_or(0)).1);
    let mark = if path.contains('?') { '&' } else { '?' };
    let head = format!(
        "PUT {path}{mark}digest={digest} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        blob.len()
    );
    stream.get_mut().write_all(head.as_bytes())?;
    stream.get_mut().write_all(blob)?;
    let answer = head_of(&mut stream)?;
    ensure!(answer.starts_with("HTTP/1.1 201"), "blob not taken: {answer}");
    Ok(())
}

fn pull(address: &str, digest: &str, length: usize) -> Result<()> {
    let mut stream = BufReader::with_capacity(256 << 10, TcpStream::connect(address)?);
    let head = format!("GET /v2/bench/blobs/{digest} HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    let answer = head_of(&mut stream)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "blob not given: {answer}");
    let mut got = 0;
    while got < length {
        let read = stream.fill_buf()?.len();
        ensure!(read > 0, "the blob breaks off");
        stream.consume(read);
        got += read;
    }
    Ok(())
}

/// Status line and headers of an answer; a body that is told by its length is skipped unless the blob is in it.
fn head_of(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut head)? > 0, "the connection was closed");
    }
    if !head.starts_with("HTTP/1.1 200") {
        let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    }
    Ok(head)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
