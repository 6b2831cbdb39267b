//! The map of what is going on. It decides nothing and waits for nothing.

use std::collections::HashMap;

use actix::{Actor, Context, Handler, MessageResult};

use super::message::{BuildsOf, Deregister, Entries, Find, Kind, LookAtBuilds, Observe, Observed, Register};
use super::slot::Entry;
use crate::domain::{ConfigurationId, StreamKey, StreamKind};

#[derive(Default)]
pub struct Registry {
    slots: HashMap<StreamKey, Entry>,
    builds: HashMap<ConfigurationId, BuildsOf>,
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // Callers await their answers, so this bounds callers, not work.
        context.set_mailbox_capacity(1024);
    }
}

impl Handler<Register> for Registry {
    type Result = ();

    fn handle(&mut self, Register { entry, kind }: Register, _: &mut Self::Context) {
        if let Kind::Build { configuration_id, in_flight } = kind {
            self.builds.entry(configuration_id).or_default().in_flight.push(*in_flight);
        }
        self.slots.insert(entry.key(), entry);
    }
}

impl Handler<Deregister> for Registry {
    type Result = ();

    fn handle(&mut self, Deregister(key): Deregister, _: &mut Self::Context) {
        self.slots.remove(&key);
        if let StreamKey::Build { id, .. } = key {
            self.builds.retain(|_, builds| {
                builds.in_flight.retain(|in_flight| in_flight.id() != id);
                // A lock that somebody holds must stay the one that others find.
                !builds.in_flight.is_empty()
                    || std::sync::Arc::strong_count(&builds.decision) > 1
                    || !builds.turns.is_idle()
            });
        }
    }
}

impl Handler<Find> for Registry {
    type Result = Option<Entry>;

    fn handle(&mut self, Find(key): Find, _: &mut Self::Context) -> Option<Entry> {
        self.slots.get(&key).cloned()
    }
}

impl Handler<Entries> for Registry {
    type Result = Vec<Entry>;

    fn handle(&mut self, _: Entries, _: &mut Self::Context) -> Vec<Entry> {
        self.slots.values().cloned().collect()
    }
}

impl Handler<LookAtBuilds> for Registry {
    type Result = MessageResult<LookAtBuilds>;

    fn handle(&mut self, LookAtBuilds(id): LookAtBuilds, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.builds.entry(id).or_default().clone())
    }
}

impl Handler<Observe> for Registry {
    type Result = Observed;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Observed {
        let count = |kind| self.slots.keys().filter(|key| key.kind() == kind).count();
        Observed { runs: count(StreamKind::Run), builds: count(StreamKind::Build) }
    }
}
