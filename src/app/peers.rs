//! What this node does about the others: it copies their logs, and takes over the work of those that are lost.
//!
//! Law: a node is taken for lost when it has ended in good order, or has said nothing in the database and does not answer
//! by way of the journal's servers either. That may be wrong; the fence then ends its process, and nothing is done twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::data_dir::cluster_options;
use crate::blocking::blocking;
use crate::cluster::{Nodes, Peer, presence};
use crate::config::ClusterSettings;
use crate::domain::id::NodeId;
use crate::domain::node::NodeState;
use crate::log::{ClusterOptions, FencedOff, Stop, answers, fence_off};
use crate::registry::{RegistryHandle, Services};

/// A node that has said nothing in so many rounds is asked whether it is there.
const SILENT: u32 = 6;
/// A node that is not the first to take another's work over leaves that to the first for so many rounds more; and to one that
/// has put the fence there, and is at work, for twice as many.
const TURN: u32 = 8;
/// What could not be taken over whole is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// Work of this node that nothing works on, since it could not be taken up, is looked for this often.
const STRAY: Duration = Duration::from_secs(15);

/// Everything that a node among others does for them, until it is dropped or the node drains.
pub async fn attend(registry: RegistryHandle, services: Services) {
    let Some(cluster) = services.settings.cluster.clone().filter(|_| !services.nodes.is_alone()) else { return };
    let heartbeat = services.settings.stream.sse_heartbeat;
    let ticking = services.replicas.clone();
    let watch = Watch { registry, services, cluster: Arc::new(cluster), stop: Asking::default() };
    tokio::join!(watch.watch(), watch.feed(), watch.take_up_strays(), ticking.tick(heartbeat));
}

/// What blocks ends when this is dropped: it would hold up the end of the process.
#[derive(Default)]
struct Asking(Stop);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Whether this node is to find out whether the other one is lost.
fn is_suspect(peer: &Peer, nodes: &Nodes) -> bool {
    let limit = if is_first(nodes) { 0 } else { TURN };
    let silent = match peer.state {
        NodeState::Stopped => peer.silent_rounds,
        NodeState::Lost => return false,
        NodeState::Serving | NodeState::Draining => peer.silent_rounds.saturating_sub(SILENT - 1),
    };
    silent > limit
}

/// Of those that are seen, it has the lowest id.
fn is_first(nodes: &Nodes) -> bool {
    !nodes.peers().iter().any(|peer| is_at_work(peer) && peer.id < nodes.own_id())
}

fn is_at_work(peer: &Peer) -> bool {
    peer.state == NodeState::Serving && peer.silent_rounds < SILENT
}

struct Watch {
    registry: RegistryHandle,
    services: Services,
    cluster: Arc<ClusterSettings>,
    stop: Asking,
}

impl Watch {
    async fn watch(&self) {
        let (mut settled, mut later) = (HashSet::new(), HashMap::new());
        loop {
            tokio::time::sleep(presence::ROUND / 2).await;
            for peer in self.nodes().peers() {
                if peer.journal != self.own_journal() {
                    self.follow(&peer).await;
                }
                // Whoever ends takes nothing up any more.
                if !self.nodes().is_serving() || later.get(&peer.id).is_some_and(|at| Instant::now() < *at) {
                    continue;
                }
                if peer.journal == self.own_journal() {
                    self.inherit(&peer, &mut settled).await;
                } else if is_suspect(&peer, self.nodes()) && !self.take_over(&peer).await {
                    later.insert(peer.id, Instant::now() + AGAIN);
                }
            }
        }
    }

    async fn feed(&self) {
        loop {
            tokio::time::sleep(presence::ROUND / 2).await;
            if let Err(error) = self.registry.follow_others().await {
                tracing::debug!(%error, "what feeds owe is not known");
            }
        }
    }

    async fn take_up_strays(&self) {
        loop {
            tokio::time::sleep(STRAY).await;
            if let Err(error) = self.registry.take_up_strays().await {
                tracing::debug!(%error, "work that nothing works on is not known");
            }
        }
    }

    fn nodes(&self) -> &Nodes {
        &self.services.nodes
    }

    fn options(&self, peer: &Peer) -> ClusterOptions {
        self.options_of(peer.id, Some(peer.name.clone()))
    }

    fn options_of(&self, id: NodeId, name: Option<String>) -> ClusterOptions {
        let options = cluster_options(&self.cluster, id, false);
        ClusterOptions { node: name.unwrap_or(options.node), ..options }
    }

    fn own_journal(&self) -> String {
        self.options_of(self.nodes().own_id(), self.cluster.node.clone()).stream()
    }

    /// This node had another id, on a disk that was lost: what it has left is in its journal, as far as that goes.
    async fn inherit(&self, former: &Peer, settled: &mut HashSet<NodeId>) {
        if former.state == NodeState::Lost || former.silent_rounds < SILENT || !settled.insert(former.id) {
            return;
        }
        let epoch = self.services.log.journal_state().epoch;
        match self.registry.inherit(former.id, epoch).await {
            Ok(done) => {
                tracing::warn!(node = %former.id, ?done, "the work that this node had under another id was taken over");
                self.lose(former.id, epoch).await;
            }
            Err(error) => {
                settled.remove(&former.id);
                tracing::error!(node = %former.id, %error, "the work of this node's former id could not be taken over yet");
            }
        }
    }

    async fn follow(&self, peer: &Peer) {
        if self.services.followers.is_followed(peer.id) {
            return;
        }
        if let Some(follower) = self.services.followers.of_journal(&peer.journal) {
            return self.services.followers.enter(peer.id, &peer.journal, follower);
        }
        let (log, observer) = (self.services.log.clone(), Arc::new(self.services.replicas.clone()));
        let options = self.options(peer);
        match blocking(move || log.follow(options, observer)).await {
            Ok(follower) => self.services.followers.enter(peer.id, &peer.journal, Arc::new(follower)),
            Err(error) => tracing::error!(node = peer.name, %error, "the logs of another node cannot be copied"),
        }
    }

    /// False when this is to be tried again, and not at once.
    async fn take_over(&self, peer: &Peer) -> bool {
        let begun = Instant::now();
        let fence = match self.fence(peer).await {
            Ok(Some(fence)) => fence,
            // It is there, or it has never been at work.
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(node = peer.name, error, "a node that is silent could not be fenced off");
                return false;
            }
        };
        if self.is_somebody_else_at_it(peer, &fence) {
            return true;
        }
        let epoch = fence.epoch;
        match self.registry.take_over(peer.id, fence).await {
            Ok(done) => {
                tracing::warn!(node = peer.name, ?done, took = ?begun.elapsed(), "the work of a lost node was taken over");
                // What is left may be whole elsewhere.
                done.left == 0 && self.lose(peer.id, epoch).await
            }
            Err(error) => {
                tracing::error!(node = peer.name, %error, "the work of a lost node could not be taken over yet");
                false
            }
        }
    }

    async fn lose(&self, node_id: NodeId, epoch: u64) -> bool {
        let noted = self.services.store.lose_node(node_id, epoch).await;
        noted.inspect_err(|error| tracing::warn!(%error, "a node could not be noted as lost")).is_ok()
    }

    /// The fence behind the last event of a node that does not answer.
    async fn fence(&self, peer: &Peer) -> Result<Option<FencedOff>, String> {
        let (options, by, stop) = (self.options(peer), self.nodes().own_id().to_string(), self.stop.0.clone());
        let fence = move || match answers(&options, &stop)? {
            true => Ok(None),
            false => fence_off(&options, &by, &stop).map_err(|error| error.to_string()),
        };
        tokio::task::spawn_blocking(fence).await.map_err(|error| error.to_string())?
    }

    /// Another node has put the fence there, is at work, and has not had long for it.
    fn is_somebody_else_at_it(&self, lost: &Peer, fence: &FencedOff) -> bool {
        let Ok(by) = fence.by.parse::<NodeId>() else { return false };
        let has_time = lost.silent_rounds < SILENT + 3 * TURN;
        has_time && self.nodes().peer(by).is_some_and(|taker| is_at_work(&taker))
    }
}

/// How long a process that cannot record anything works on.
pub async fn cut_off(services: &Services) -> String {
    let patience = match services.settings.cluster.as_ref().filter(|_| !services.nodes.is_alone()) {
        Some(cluster) => cluster.patience,
        None => return std::future::pending().await,
    };
    let mut since = None;
    loop {
        tokio::time::sleep(LOOK).await;
        match services.log.journal_state().unreachable {
            None => since = None,
            Some(why) => {
                let since = since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    tracing::error!(%why, "cut off from the journal; other nodes take the work over");
                    return format!("cut off from it: {why}");
                }
            }
        }
    }
}

const LOOK: Duration = Duration::from_millis(250);
