//! What the registry's actor is told and asked.

use actix::Message;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::Mutex;

use crate::worker::build::Turns;

use super::slot::{Entry, InFlight};
use crate::domain::{BuildId, ConfigurationId, StreamKey};

/// Work has begun.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Register {
    pub entry: Entry,
    pub kind: Kind,
}

pub enum Kind {
    /// Nobody joins it.
    Alone,
    Build {
        configuration_id: ConfigurationId,
        in_flight: Box<InFlight>,
    },
}

/// Its stream has ended and its row is final.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deregister(pub StreamKey);

#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub struct Find(pub StreamKey);

#[derive(Message)]
#[rtype(result = "Vec<Entry>")]
pub struct Entries;

/// The builds of a configuration: what is under way, and the locks that order them.
#[derive(Message)]
#[rtype(result = "BuildsOf")]
pub struct LookAtBuilds(pub ConfigurationId);

#[derive(Clone, Default)]
pub struct BuildsOf {
    pub in_flight: Vec<InFlight>,
    /// Held while deciding whether to reuse, join or build, and while deciding what to prune.
    pub decision: Arc<Mutex<()>>,
    /// One build at a time, in order.
    pub turns: Turns,
}

#[derive(Message)]
#[rtype(result = "Observed")]
pub struct Observe;

/// The registry's observable state.
#[derive(Debug, Clone, Serialize, actix::MessageResponse)]
pub struct Observed {
    pub runs: usize,
    pub builds: usize,
}

impl InFlight {
    pub fn id(&self) -> BuildId {
        self.build.id
    }
}
