//! What the threads of a journal in a stream know of each other: how far it has come, what is in its way, and whether it is
//! over.

use std::time::Instant;

use super::retained::Retained;

/// Why a journal never takes a round again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    #[error("another process has taken the journal of this node over (epoch {epoch})")]
    Fenced { epoch: u64 },
    #[error("something that is no process of this service has written into the journal of this node")]
    Foreign,
    #[error("a log on this machine could not be synced: {0}")]
    Disk(String),
    #[error("the service stopped before the journal answered")]
    Stopped,
}

pub(super) struct State {
    pub(super) retained: Retained,
    /// The last message that is known to be stored.
    pub(super) stored: u64,
    /// The last one of which every log has its bytes.
    pub(super) settled: u64,
    /// Of the messages up to it that no checkpoint has covered.
    pub(super) settled_bytes: u64,
    /// What is in the way of the round that is being published.
    pub(super) stuck: Option<String>,
    /// Why the last question was not answered.
    pub(super) silent: Option<String>,
    /// When the stream last answered.
    pub(super) heard: Instant,
    pub(super) halt: Option<Halt>,
    /// After this a round that is not stored at once is given up.
    pub(super) give_up: Option<Instant>,
    /// The appender has stopped; with true, everything is to be checkpointed.
    pub(super) ended: Option<bool>,
}

impl State {
    pub(super) fn new(retained: Retained, stored: u64) -> Self {
        Self {
            retained,
            stored,
            settled: stored,
            settled_bytes: 0,
            stuck: None,
            silent: None,
            heard: Instant::now(),
            halt: None,
            give_up: None,
            ended: None,
        }
    }

    /// The stream has answered as it should.
    pub(super) fn hear(&mut self, now: Instant) {
        (self.stuck, self.silent, self.heard) = (None, None, now);
    }

    /// Once it is halted, it stays so, and for the first reason.
    pub(super) fn halt(&mut self, why: Halt) {
        self.halt.get_or_insert(why);
    }

    /// Whether a round that has failed before is not tried again, and why.
    pub(super) fn over(&mut self, now: Instant) -> Option<Halt> {
        if self.give_up.is_some_and(|at| now >= at) {
            self.halt(Halt::Stopped);
        }
        self.halt.clone()
    }
}
