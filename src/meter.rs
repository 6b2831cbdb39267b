//! Meters: numbers that are counted where things happen, and read when somebody asks for metrics.
//!
//! Law: to count costs a few relaxed atomic additions. Nothing is locked, looked up or allocated, so that meters may stand
//! on the path of an event; whoever counts holds the one meter that it counts with. What is read is never torn within one
//! meter's own fields by more than the counts that are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Grows only.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much of something there is now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, until the answer is dropped.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.add(1);
        Held(self.clone())
    }
}

/// Counts for one in a [`Gauge`] as long as it lives.
#[derive(Debug)]
pub struct Held(Arc<Gauge>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// Bounds for what takes from tens of microseconds to seconds, in microseconds.
const SHORT: &[u64] = &[
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// Bounds for what takes from a fraction of a second to hours, in microseconds.
const LONG: &[u64] = &[
    100_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
    10_800_000_000,
    43_200_000_000,
];
/// Bounds for numbers of things.
const AMOUNTS: &[u64] = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000, 1_000_000];

/// How often values of which size were seen.
#[derive(Debug)]
pub struct Histogram {
    /// Ascending; a value belongs to the first bound that is not below it.
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// What a value is divided by when it is read.
    scale: f64,
}

/// What a [`Histogram`] holds: seconds, or numbers of things.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The upper bound of each bucket, and how many values are in it and in no lower one. The last bound is `f64::INFINITY`.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl Histogram {
    /// For latencies: from 25 us to 10 s.
    pub fn of_latencies() -> Self {
        Self::new(SHORT, 1e6)
    }

    /// For how long work takes: from 0.1 s to 12 h.
    pub fn of_durations() -> Self {
        Self::new(LONG, 1e6)
    }

    /// For numbers of things: from 1 to a million.
    pub fn of_amounts() -> Self {
        Self::new(AMOUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0), scale }
    }

    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Of a histogram of times.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn read(&self) -> Distribution {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.scale).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.scale;
        Distribution { buckets: bounds.zip(counts).collect(), sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_takes_it() {
        let histogram = Histogram::of_amounts();
        for value in [0, 1, 2, 3, 1_000_000, 1_000_001] {
            histogram.observe(value);
        }
        let read = histogram.read();
        let filled: Vec<_> = read.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0, 2), (2.0, 1), (5.0, 1), (1e6, 1), (f64::INFINITY, 1)]);
        assert_eq!((read.count(), read.sum), (6, 2_000_007.0));
    }

    #[test]
    fn times_are_read_in_seconds() {
        for histogram in [Histogram::of_latencies(), Histogram::of_durations()] {
            for seconds in [0.0, 2.5, 90_000.0] {
                histogram.observe_time(Duration::from_secs_f64(seconds));
            }
            let read = histogram.read();
            let count = |bound| read.buckets.iter().find(|(found, _)| *found == bound).map(|(_, count)| *count);
            assert_eq!((count(2.5), count(f64::INFINITY), read.count()), (Some(1), Some(1), 3));
            assert_eq!(read.sum, 90_002.5);
        }
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let gauge = Arc::new(Gauge::default());
        let held = [gauge.hold(), gauge.hold()];
        assert_eq!(gauge.get(), 2);
        drop(held);
        assert_eq!(gauge.get(), 0);
    }
}
