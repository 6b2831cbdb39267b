//! What this node knows of itself and of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::Notify;

use crate::config::{ClusterSettings, PeerSettings};
use crate::domain::id::NodeId;
use crate::domain::node::{Incarnation, Node, NodeState};
use crate::domain::time::{Timestamp, micros};
use crate::store::{NodeList, Store, StoreError};

/// A process that is to answer and has said nothing in so many rounds will not.
const SILENT: u32 = 12;
const LOOK: Duration = Duration::from_millis(250);

/// Another node, as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub id: NodeId,
    pub name: String,
    /// Without a slash at its end.
    pub address: String,
    /// The stream that is its journal.
    pub journal: String,
    /// The process that is at work, or was last.
    pub incarnation: Incarnation,
    pub state: NodeState,
    pub seen_at: Timestamp,
    /// By the clock of the database, when it was read.
    pub is_alive: bool,
    /// In how many rounds that the database answered it has said nothing. No clock has a part in it.
    pub silent_rounds: u32,
}

/// This node and those that share its database; clones know the same.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    own: Node,
    /// None: there are no others.
    settings: Option<PeerSettings>,
    view: Mutex<View>,
    /// The state of this node is another.
    changed: Notify,
}

#[derive(Default)]
struct View {
    state: NodeState,
    /// 0 before it has its journal.
    epoch: u64,
    has_ended: bool,
    peers: BTreeMap<NodeId, Peer>,
}

impl Nodes {
    /// A node that knows of no others.
    pub fn alone(id: NodeId) -> Self {
        Self::new(id, None, String::new())
    }

    /// By the settings; `journal` is the name of the stream that has this node's.
    pub fn new(id: NodeId, cluster: Option<&ClusterSettings>, journal: String) -> Self {
        let settings = cluster.and_then(|cluster| cluster.peers.clone());
        let started_at = micros(Utc::now());
        let own = Node {
            id,
            name: cluster.and_then(|cluster| cluster.node.clone()).unwrap_or_else(|| id.to_string()),
            cluster: cluster.map_or_else(String::new, |cluster| cluster.name.clone()),
            address: settings.as_ref().map_or_else(String::new, |settings| settings.advertise.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal,
            state: NodeState::Serving,
            started_at,
            seen_at: started_at,
        };
        Self(Arc::new(Inner { own, settings, view: Mutex::default(), changed: Notify::new() }))
    }

    pub fn own_id(&self) -> NodeId {
        self.0.own.id
    }

    /// This process.
    pub fn incarnation(&self) -> Incarnation {
        self.0.own.incarnation()
    }

    /// Whether there can be no others.
    pub fn is_alone(&self) -> bool {
        self.0.settings.is_none()
    }

    /// How nodes know each other; none where there are no others.
    pub fn settings(&self) -> Option<&PeerSettings> {
        self.0.settings.as_ref()
    }

    /// Another node; none that was never seen, nor this one.
    pub fn peer(&self, id: NodeId) -> Option<Peer> {
        self.view().peers.get(&id).cloned()
    }

    /// Returns when this process of another node has been silent for seconds, or is over.
    pub async fn gone(&self, process: &Peer) {
        let is_there = |peer: Peer| {
            let is_at_work = matches!(peer.state, NodeState::Serving | NodeState::Draining);
            peer.incarnation == process.incarnation && is_at_work && peer.silent_rounds < SILENT
        };
        while self.peer(process.id).is_none_or(is_there) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The others, in the order of their ids.
    pub fn peers(&self) -> Vec<Peer> {
        self.view().peers.values().cloned().collect()
    }

    /// The process of this epoch writes the journal of this node.
    pub fn begin_epoch(&self, epoch: u64) {
        self.view().epoch = epoch;
    }

    pub(super) fn epoch(&self) -> u64 {
        self.view().epoch
    }

    /// It takes work, and has not been asked to end.
    pub fn is_serving(&self) -> bool {
        self.state() == NodeState::Serving
    }

    /// Nothing more is said of it but its last word.
    pub(super) fn end(&self) {
        self.view().has_ended = true;
        self.0.changed.notify_one();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.view().has_ended
    }

    /// This node ends, and says so.
    pub fn drain(&self) {
        self.view().state = NodeState::Draining;
        self.0.changed.notify_one();
    }

    /// All nodes as the database has them now; of one that is alone, itself.
    pub async fn list(&self, store: &Store) -> Result<NodeList, StoreError> {
        if !self.is_alone() {
            return store.nodes(&self.0.own.cluster).await;
        }
        let at = micros(Utc::now());
        Ok(NodeList { at, nodes: vec![Node { state: self.state(), seen_at: at, ..self.0.own.clone() }] })
    }

    /// Reads the others at once, and not when their turn comes.
    pub async fn look(&self, store: &Store) -> Result<(), StoreError> {
        self.take_over(self.list(store).await?);
        Ok(())
    }

    pub(super) fn state(&self) -> NodeState {
        self.view().state
    }

    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn own(&self) -> Node {
        Node { state: self.state(), ..self.0.own.clone() }
    }

    pub(super) fn take_over(&self, list: NodeList) {
        let NodeList { at, nodes } = list;
        let others = nodes.into_iter().filter(|node| node.id != self.own_id());
        let mut view = self.view();
        let known = |node: Node| (node.id, peer(node, at, &view.peers));
        let peers = others.map(known).collect();
        view.peers = peers;
    }

    /// A map that is replaced as a whole: nothing in it can be half done.
    fn view(&self) -> MutexGuard<'_, View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn peer(node: Node, at: Timestamp, before: &BTreeMap<NodeId, Peer>) -> Peer {
    let (is_alive, incarnation) = (node.is_alive(at), node.incarnation());
    let before = before.get(&node.id);
    let silent = before.filter(|before| before.seen_at == node.seen_at && before.state == node.state);
    let silent_rounds = silent.map_or(0, |before| before.silent_rounds.saturating_add(1));
    let Node { id, name, address, journal, state, seen_at, .. } = node;
    Peer { id, name, address, journal, incarnation, state, seen_at, is_alive, silent_rounds }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Settings, Sources};

    pub fn in_cluster(address: &str) -> Nodes {
        let variables = [
            ("ADE_CLUSTER_NATS", "nats://a:4222"),
            ("ADE_CLUSTER_NODE", "a"),
            ("ADE_DATABASE_URL", "postgres://ade@db/ade"),
            ("ADE_CLUSTER_ADVERTISE", address),
            ("ADE_CLUSTER_SECRET", "a-secret-of-a-cluster"),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::load(&Sources { environment, ..Sources::default() }).unwrap();
        Nodes::new(NodeId::generate(), settings.cluster.as_ref(), "ade-ade-j-a".into())
    }

    #[test]
    fn a_node_knows_the_others_as_they_were_read_last_and_not_itself() {
        let nodes = in_cluster("http://10.0.0.1:8000");
        let at = micros(Utc::now());
        let other = Node { id: NodeId::generate(), address: "http://10.0.0.2:8000".into(), ..nodes.own() };
        nodes.take_over(NodeList { at, nodes: vec![nodes.own(), other.clone()] });
        let peer = nodes.peer(other.id).unwrap();
        assert!(peer.is_alive && peer.address == "http://10.0.0.2:8000", "{peer:?}");
        assert_eq!((nodes.peer(nodes.own_id()), nodes.peers()), (None, vec![peer]));
        nodes.take_over(NodeList { at, nodes: Vec::new() });
        assert_eq!(nodes.peer(other.id), None);
    }
}
