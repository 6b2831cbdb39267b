//! What the readers have seen, counted and told.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::options::Options;
use crate::scan::{Batch, unix_now};

/// What all readers have seen together.
pub struct Tally {
    /// Readers that have their first response head.
    pub heads: usize,
    deliveries: u64,
    bytes: u64,
    pub reconnects: u64,
    gaps: u64,
    repeats: u64,
    /// Last id of each reader whose stream ended.
    pub ends: Vec<u64>,
    pub failures: Vec<String>,
    first: Option<Instant>,
    first_mark: Option<Instant>,
    last: Option<Instant>,
    /// When the last event came, in nanoseconds since 1970.
    last_unix: u64,
    /// Microseconds.
    latency: Histogram<u64>,
    /// As `latency`, without what came in the first seconds.
    settled: Histogram<u64>,
    settles_after: Duration,
}

impl Tally {
    pub fn new(settles_after: Duration) -> Self {
        let latency = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3).expect("the bounds are sound");
        Self {
            heads: 0,
            deliveries: 0,
            bytes: 0,
            reconnects: 0,
            gaps: 0,
            repeats: 0,
            ends: Vec::new(),
            failures: Vec::new(),
            first: None,
            first_mark: None,
            last: None,
            last_unix: 0,
            settled: latency.clone(),
            latency,
            settles_after,
        }
    }

    /// Adds what one read brought.
    pub fn add(&mut self, batch: &mut Batch, bytes: usize) {
        self.bytes += bytes as u64;
        if batch.events == 0 {
            return;
        }
        let now = Instant::now();
        self.first.get_or_insert(now);
        if !batch.latencies.is_empty() {
            self.first_mark.get_or_insert(now);
        }
        let is_settled = self.first_mark.is_some_and(|first| now - first >= self.settles_after);
        self.last = Some(now);
        self.last_unix = unix_now();
        self.deliveries += std::mem::take(&mut batch.events);
        self.gaps += std::mem::take(&mut batch.gaps);
        self.repeats += std::mem::take(&mut batch.repeats);
        for microseconds in batch.latencies.drain(..) {
            self.latency.saturating_record(microseconds);
            if is_settled {
                self.settled.saturating_record(microseconds);
            }
        }
    }

    pub fn tell(&mut self, options: &Options) -> bool {
        let seconds = self.first.zip(self.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64()).max(1e-9);
        let last_id = if options.last_id > 0 { options.last_id } else { self.ends.iter().copied().max().unwrap_or(0) };
        let whole = self.ends.iter().filter(|&&end| end == last_id).count();
        let complete = whole == options.readers && self.gaps == 0 && self.repeats == 0 && self.failures.is_empty();
        println!("readers {} whole {whole} gaps {} repeats {}", options.readers, self.gaps, self.repeats);
        println!("last id {last_id} reconnects {} failures {}", self.reconnects, self.failures.len());
        self.failures.iter().take(5).for_each(|failure| println!("  {failure}"));
        let rate = self.deliveries as f64 / seconds;
        println!("deliveries {} in {seconds:.3} s: {rate:.0} /s", self.deliveries);
        println!("bytes {} ({:.1} MB/s)", self.bytes, self.bytes as f64 / 1e6 / seconds);
        if !self.latency.is_empty() {
            let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|q| self.latency.value_at_quantile(q));
            println!("latency us p50 {p50} p90 {p90} p99 {p99} p99.9 {p999} max {}", self.latency.max());
        }
        println!("{}", if complete { "complete" } else { "INCOMPLETE" });
        if options.json {
            println!("{}", self.summary(complete, whole, last_id, seconds));
        }
        complete
    }

    fn summary(&self, complete: bool, whole: usize, last_id: u64, seconds: f64) -> serde_json::Value {
        let quantiles = |of: &Histogram<u64>| {
            let all = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];
            serde_json::Map::from_iter(all.map(|(name, at)| (name.to_owned(), of.value_at_quantile(at).into())))
        };
        serde_json::json!({
            "complete": complete, "whole": whole, "gaps": self.gaps, "repeats": self.repeats, "last_id": last_id,
            "reconnects": self.reconnects, "failures": self.failures.len(), "deliveries": self.deliveries,
            "seconds": seconds, "deliveries_per_second": self.deliveries as f64 / seconds, "bytes": self.bytes,
            "last_unix_ns": self.last_unix, "marks": self.latency.len(),
            "latency_us": quantiles(&self.latency), "settled_latency_us": quantiles(&self.settled),
        })
    }
}
