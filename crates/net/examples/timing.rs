//! How long the steps of a container's network setup take, in a network namespace of its own: median and worst of
//! `N` containers (first argument, 100). Needs root.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use wharf_db::Db;
use wharf_net::{DnsConfig, EndpointSpec, EndpointState, Net, NetConfig, NetworkSpec, PortRequest, Protocol};

#[allow(deprecated)]
fn new_namespace() -> OwnedFd {
    rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
    File::open("/proc/thread-self/ns/net").unwrap().into()
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    times.push(start.elapsed());
    value
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what:<28} median {median:>9.1?}  worst {last:>9.1?}");
}

fn allocate(net: &Net, db: &Db, network: &str, name: String) -> EndpointState {
    let spec = EndpointSpec {
        container_id: name.clone(),
        names: vec![name.clone()],
        container_name: name,
        ..EndpointSpec::default()
    };
    db.write(|tx| net.allocate(tx, network, spec)).unwrap()
}

fn main() {
    let count: u16 = std::env::args().nth(1).map_or(100, |n| n.parse().unwrap());
    let _host = new_namespace();
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("timing.db")).unwrap();
    let start = Instant::now();
    let net = Net::open(NetConfig::default(), db.clone()).unwrap();
    net.restore(&[]).unwrap();
    println!("open and restore              {:.1?}", start.elapsed());
    db.write(|tx| net.create_network(tx, NetworkSpec { name: "user".into(), ..NetworkSpec::default() }))
        .unwrap();

    let [mut lease, mut attach, mut publish, mut dns, mut unpublish, mut detach] = [const { Vec::new() }; 6];
    let mut running = Vec::new();
    for i in 0..count {
        let netns = std::thread::spawn(new_namespace).join().unwrap();
        let mut state = timed(&mut lease, || allocate(&net, &db, "user", format!("c{i}")));
        timed(&mut attach, || net.attach(&state, netns.as_fd()).unwrap());
        let request = PortRequest {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: None,
            host_ports: (20000 + i, 20000 + i),
        };
        timed(&mut publish, || net.publish(&mut state, &[request]).unwrap());
        timed(&mut dns, || net.serve_dns(&state.container_id, netns.as_fd(), DnsConfig::default()).unwrap());
        running.push((state, netns));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let make = |w: u16| {
            scope.spawn(move || {
                (w..count)
                    .step_by(8)
                    .map(|_| std::thread::spawn(new_namespace).join().unwrap())
                    .collect::<Vec<_>>()
            })
        };
        let all: Vec<_> = (0..8).map(make).collect();
        let all: Vec<_> = all.into_iter().map(|t| t.join().unwrap()).collect();
        println!("{count} new namespaces by 8 threads   {:.1?}", start.elapsed());
        drop(all);
    });
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    let parallel: Vec<_> = std::thread::scope(|scope| {
        let worker = |w: u16| {
            let (net, db) = (&net, &db);
            let range = (w..count).step_by(8);
            let attach = move |i| {
                let netns = std::thread::spawn(new_namespace).join().unwrap();
                let state = allocate(net, db, "bridge", format!("p{i}"));
                let start = Instant::now();
                net.attach(&state, netns.as_fd()).unwrap();
                (start.elapsed(), netns)
            };
            scope.spawn(move || range.map(attach).collect::<Vec<_>>())
        };
        (0..8).map(worker).collect::<Vec<_>>().into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    println!("{count} new namespaces attached by 8 threads   {:.1?}", start.elapsed());
    let (times, namespaces): (Vec<_>, Vec<_>) = parallel.into_iter().unzip();
    drop(namespaces);
    let states: Vec<_> = running.iter().map(|(state, _)| state.clone()).collect();
    drop(net);
    let net = Net::open(NetConfig::default(), db.clone()).unwrap();
    let start = Instant::now();
    net.restore(&states).unwrap();
    println!("restore with {count} containers   {:.1?}", start.elapsed());
    for (state, netns) in running {
        timed(&mut unpublish, || net.unpublish(&state).unwrap());
        timed(&mut detach, || net.detach(&state).unwrap());
        drop(netns);
    }
    report("attach, 8 at once", times);
    report("lease (transaction)", lease);
    report("attach", attach);
    report("publish one port, v4 and v6", publish);
    report("start name server", dns);
    report("unpublish", unpublish);
    report("detach (off the path)", detach);
}
