//! What the registry counts of work, for each kind by itself.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::StreamKind;
use crate::domain::work::{Status, Work, each_kind};
use crate::meter::{Counter, Gauge, Histogram};

/// Of the work of one kind.
#[derive(Debug)]
pub struct KindMeters {
    kind: StreamKind,
    /// Work in the registry: it runs, waits, or its row is not final yet.
    pub active: Gauge,
    /// Sessions that were started again after a panic.
    pub restarts: Counter,
    /// Work of lost nodes that has become this one's.
    pub taken_over: Counter,
    /// From the creation of work until its end, whatever it waited for.
    pub duration: Histogram,
    ended: Vec<(&'static str, Counter)>,
}

impl KindMeters {
    fn of<W: Work>() -> Self {
        let terminal = W::Status::ALL.iter().filter(|status| status.is_terminal());
        Self {
            kind: W::KIND,
            active: Gauge::default(),
            restarts: Counter::default(),
            taken_over: Counter::default(),
            duration: Histogram::of_durations(),
            ended: terminal.map(|status| (status.as_str(), Counter::default())).collect(),
        }
    }

    /// Work that has ended, by its final row.
    pub fn count_end<W: Work>(&self, work: &W) {
        let status = work.status().as_str();
        if let Some((_, counter)) = self.ended.iter().find(|(name, _)| *name == status) {
            counter.add(1);
        }
        let took = work.log().completed_at.map(|at| at - work.created_at());
        self.duration.observe_time(took.and_then(|took| took.to_std().ok()).unwrap_or(Duration::ZERO));
    }

    /// How much work has ended, by its status.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.ended.iter().map(|(status, counter)| (*status, counter.get()))
    }
}

/// The meters of all work of a service.
#[derive(Debug, Clone)]
pub struct WorkMeters(Arc<[KindMeters]>);

impl Default for WorkMeters {
    fn default() -> Self {
        let mut kinds = Vec::new();
        each_kind!(W => kinds.push(KindMeters::of::<W>()));
        Self(kinds.into())
    }
}

impl WorkMeters {
    /// None for what is no work.
    pub fn of(&self, kind: StreamKind) -> Option<&KindMeters> {
        self.0.iter().find(|meters| meters.kind == kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &KindMeters)> {
        self.0.iter().map(|meters| (meters.kind.as_str(), meters))
    }
}
