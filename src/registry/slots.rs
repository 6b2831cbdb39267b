//! The registry's actor and its map of running work. What is in the map decides nothing and waits for nothing; commands
//! are handled beside it, in [`super::actor`].

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, MessageResult};
use tokio::sync::Mutex;

use super::services::Services;
use super::slot::{Entry, InFlight};
use crate::domain::{BuildId, ConfigurationId, StreamKey};
use crate::worker::venv::BuildQueue;

pub struct Registry {
    pub(super) services: Services,
    pub(super) slots: HashMap<StreamKey, Entry>,
    builds: HashMap<ConfigurationId, BuildsOf>,
}

impl Registry {
    pub fn new(services: Services) -> Self {
        Self { services, slots: HashMap::new(), builds: HashMap::new() }
    }

    fn count(&self, key: StreamKey, change: i64) {
        if let Some(meters) = self.services.meters.of(key.kind()) {
            meters.active.add(change);
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // Callers await their answers, so this bounds callers, not work.
        context.set_mailbox_capacity(1024);
    }
}

/// Work has started.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Register {
    pub entry: Entry,
    /// Of a build that others may join.
    pub joinable: Option<Box<InFlight>>,
}

impl Handler<Register> for Registry {
    type Result = ();

    fn handle(&mut self, Register { entry, joinable }: Register, _: &mut Self::Context) {
        if let Some(in_flight) = joinable {
            self.builds.entry(in_flight.build.configuration_id).or_default().in_flight.push(*in_flight);
        }
        let key = entry.key();
        if self.slots.insert(key, entry).is_none() {
            self.count(key, 1);
        }
    }
}

/// Its stream has ended and its row is final.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deregister(pub StreamKey);

impl Handler<Deregister> for Registry {
    type Result = ();

    fn handle(&mut self, Deregister(key): Deregister, _: &mut Self::Context) {
        if self.slots.remove(&key).is_some() {
            self.count(key, -1);
        }
        if let Ok(id) = BuildId::try_from(key.id()) {
            self.builds.retain(|_, builds| {
                builds.in_flight.retain(|in_flight| in_flight.id() != id);
                // A lock that is held must stay the one that others find.
                !builds.in_flight.is_empty() || Arc::strong_count(&builds.decision) > 1 || !builds.queue.is_idle()
            });
        }
    }
}

#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub struct Find(pub StreamKey);

impl Handler<Find> for Registry {
    type Result = Option<Entry>;

    fn handle(&mut self, Find(key): Find, _: &mut Self::Context) -> Option<Entry> {
        self.slots.get(&key).cloned()
    }
}

#[derive(Message)]
#[rtype(result = "Vec<Entry>")]
pub struct Entries;

impl Handler<Entries> for Registry {
    type Result = Vec<Entry>;

    fn handle(&mut self, _: Entries, _: &mut Self::Context) -> Vec<Entry> {
        self.slots.values().cloned().collect()
    }
}

/// The builds of a configuration: those that are running, and the locks that order them.
#[derive(Message)]
#[rtype(result = "BuildsOf")]
pub struct FindBuilds(pub ConfigurationId);

#[derive(Clone, Default)]
pub struct BuildsOf {
    pub in_flight: Vec<InFlight>,
    /// Held while deciding whether to reuse, join or build, and while deciding what to prune.
    pub decision: Arc<Mutex<()>>,
    /// One build at a time, in order.
    pub queue: BuildQueue,
}

impl Handler<FindBuilds> for Registry {
    type Result = MessageResult<FindBuilds>;

    fn handle(&mut self, FindBuilds(id): FindBuilds, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.builds.entry(id).or_default().clone())
    }
}
