//! Numbers for Prometheus, in its text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the classes of request durations, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, String, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    received: AtomicU64,
    sent: AtomicU64,
    mounts: AtomicU64,
    upstream_hits: AtomicU64,
    upstream_misses: AtomicU64,
    upstream_stale: AtomicU64,
    upstream_failures: AtomicU64,
    collections: AtomicU64,
    collected: AtomicU64,
    connections: AtomicU64,
}

#[derive(Default)]
struct Durations {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// What an upstream had to do with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Upstream {
    /// Nothing: all was here.
    Hit,
    /// Something was fetched.
    Miss,
    /// It does not answer; what is here was served.
    Stale,
    /// It does not answer, and nothing is here.
    Failure,
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn answered(&self, route: &'static str, method: &http::Method, status: u16, took: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") => known,
            // Clients can make methods up.
            _ => "other",
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, method.to_owned(), status)).or_default() += 1;
        drop(requests);
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let of_route = durations.entry(route).or_default();
        let seconds = took.as_secs_f64();
        for (bucket, end) in of_route.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= end);
        }
        of_route.count += 1;
        of_route.sum += seconds;
    }

    /// A client connected.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A client left.
    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Bytes of blobs came.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of blobs were handed to a connection.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A blob was mounted.
    pub(crate) fn mounted(&self) {
        self.mounts.fetch_add(1, Ordering::Relaxed);
    }

    /// An upstream was, or was not, needed.
    pub(crate) fn upstream(&self, what: Upstream) {
        let counter = match what {
            Upstream::Hit => &self.upstream_hits,
            Upstream::Miss => &self.upstream_misses,
            Upstream::Stale => &self.upstream_stale,
            Upstream::Failure => &self.upstream_failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A collection gave bytes back.
    pub(crate) fn collected(&self, bytes: u64) {
        self.collections.fetch_add(1, Ordering::Relaxed);
        self.collected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The text. `uploads` is the number of open uploads.
    pub(crate) fn render(&self, uploads: usize) -> String {
        let mut text = String::new();
        head(&mut text, "requests_total", "counter", "Requests answered.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in &*requests {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            let _ = writeln!(text, "wharf_registry_requests_total{{{labels}}} {count}");
        }
        drop(requests);
        self.render_durations(&mut text);
        let uploads = uploads as u64;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            ("received_bytes_total", "counter", "Bytes of blobs received.", load(&self.received)),
            ("sent_bytes_total", "counter", "Bytes of blobs sent.", load(&self.sent)),
            ("mounts_total", "counter", "Blobs mounted from another repository.", load(&self.mounts)),
            ("upstream_hits_total", "counter", "Answers from the cache.", load(&self.upstream_hits)),
            ("upstream_misses_total", "counter", "Answers fetched.", load(&self.upstream_misses)),
            (
                "upstream_stale_total",
                "counter",
                "Answers from the cache, unchecked.",
                load(&self.upstream_stale),
            ),
            ("upstream_failures_total", "counter", "Answers not to be had.", load(&self.upstream_failures)),
            ("collections_total", "counter", "Collections made.", load(&self.collections)),
            ("collected_bytes_total", "counter", "Bytes that collections gave back.", load(&self.collected)),
            ("connections", "gauge", "Open connections.", load(&self.connections)),
            ("uploads", "gauge", "Open uploads that are kept in memory.", uploads),
        ] {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "wharf_registry_{name} {value}");
        }
        text
    }

    fn render_durations(&self, text: &mut String) {
        const NAME: &str = "request_duration_seconds";
        head(text, NAME, "histogram", "Time to the head of the answer.");
        let durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, of_route) in &*durations {
            let ends = BUCKETS.map(|end| end.to_string()).into_iter().chain(["+Inf".to_owned()]);
            for (end, count) in ends.zip(of_route.buckets.iter().chain([&of_route.count])) {
                let _ =
                    writeln!(text, "wharf_registry_{NAME}_bucket{{route=\"{route}\",le=\"{end}\"}} {count}");
            }
            let _ = writeln!(text, "wharf_registry_{NAME}_sum{{route=\"{route}\"}} {}", of_route.sum);
            let _ = writeln!(text, "wharf_registry_{NAME}_count{{route=\"{route}\"}} {}", of_route.count);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP wharf_registry_{name} {help}\n# TYPE wharf_registry_{name} {kind}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clients_make_no_series_up() {
        let metrics = Metrics::default();
        for at in 0..100 {
            let method = http::Method::from_bytes(format!("M{at}").as_bytes()).unwrap();
            metrics.answered("unknown", &method, 404, Duration::ZERO);
        }
        let text = metrics.render(0);
        let series: Vec<_> =
            text.lines().filter(|line| line.starts_with("wharf_registry_requests_total{")).collect();
        let all = "wharf_registry_requests_total{route=\"unknown\",method=\"other\",status=\"404\"} 100";
        assert_eq!(series, [all]);
    }

    #[test]
    fn text() {
        let metrics = Metrics::default();
        metrics.answered("blob", &http::Method::GET, 200, Duration::from_millis(30));
        metrics.answered("blob", &http::Method::GET, 200, Duration::from_secs(500));
        metrics.sent(7);
        let text = metrics.render(3);
        for line in [
            "wharf_registry_requests_total{route=\"blob\",method=\"GET\",status=\"200\"} 2",
            "wharf_registry_request_duration_seconds_bucket{route=\"blob\",le=\"0.025\"} 0",
            "wharf_registry_request_duration_seconds_bucket{route=\"blob\",le=\"0.1\"} 1",
            "wharf_registry_request_duration_seconds_bucket{route=\"blob\",le=\"+Inf\"} 2",
            "wharf_registry_sent_bytes_total 7",
            "# TYPE wharf_registry_uploads gauge",
            "wharf_registry_uploads 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
