//! What streams count, for each kind of stream by itself.

use std::sync::Arc;

use crate::domain::StreamKind;
use crate::domain::work::kinds;
use crate::meter::{Counter, Gauge, Histogram};

/// Of the streams of one kind. Whatever is counted for each batch is counted once, however many read it.
#[derive(Debug)]
pub struct StreamMeters {
    /// Events that have become durable. Those of a batch whose write failed are not among them.
    pub events: Counter,
    /// Events of each commit.
    pub batch_events: Histogram,
    /// From when the first event of a commit was taken until all of it was durable and shown to readers.
    pub append: Histogram,
    /// From then until the first reader has it, when one is waiting.
    pub delivery: Histogram,
    /// Clients that follow.
    pub readers: Gauge,
    /// Clients that fell out of the live window, and went on from the file.
    pub demotions: Counter,
    /// How many events behind they were.
    pub lag: Histogram,
    /// Streams that accept no more, since a write or a sync failed.
    pub degraded: Counter,
    /// Actors that were started again after a panic.
    pub restarts: Counter,
}

impl Default for StreamMeters {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            batch_events: Histogram::of_amounts(),
            append: Histogram::of_latencies(),
            delivery: Histogram::of_latencies(),
            readers: Gauge::default(),
            demotions: Counter::default(),
            lag: Histogram::of_amounts(),
            degraded: Counter::default(),
            restarts: Counter::default(),
        }
    }
}

/// The meters of all streams of a service.
#[derive(Debug, Clone)]
pub struct MetersByKind(Arc<[(StreamKind, Arc<StreamMeters>)]>);

impl Default for MetersByKind {
    fn default() -> Self {
        let all = kinds().into_iter().chain([StreamKind::FEED]);
        Self(all.map(|kind| (kind, Arc::default())).collect())
    }
}

impl MetersByKind {
    /// Looked up when a stream is opened, and not again.
    pub fn of(&self, kind: StreamKind) -> Arc<StreamMeters> {
        let found = self.0.iter().find(|(of, _)| *of == kind);
        found.map(|(_, meters)| meters.clone()).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &StreamMeters)> {
        self.0.iter().map(|(kind, meters)| (kind.as_str(), &**meters))
    }
}
