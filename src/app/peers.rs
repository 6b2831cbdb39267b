//! What this node does about the others: it copies their logs, and takes over the work of those that are lost.
//!
//! Law: a node is taken for lost when it has ended in good order, or has said nothing in the database and does not answer
//! by way of the journal's servers either. That may be wrong; the fence then ends its process, and nothing is done twice.

use std::collections::HashSet;
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
/// A node that is not the first to take another's work over leaves that to the first for so many rounds more.
const TURN: u32 = 8;

/// Follows, and watches, all other nodes until it is dropped.
pub async fn watch(registry: RegistryHandle, services: Services) {
    let Some(cluster) = services.settings.cluster.clone().filter(|_| !services.nodes.is_alone()) else { return };
    let watch = Watch { registry, services, cluster: Arc::new(cluster) };
    let mut settled = HashSet::new();
    loop {
        tokio::time::sleep(presence::ROUND / 2).await;
        if let Err(error) = watch.registry.follow_others().await {
            tracing::debug!(%error, "what feeds owe is not known");
        }
        for peer in watch.nodes().peers() {
            if peer.journal == watch.own_journal() {
                watch.inherit(&peer, &mut settled).await;
                continue;
            }
            watch.follow(&peer).await;
            if peer.state == NodeState::Lost || !is_suspect(&peer, watch.nodes()) {
                settled.remove(&peer.id);
            } else if !settled.contains(&peer.id) && watch.take_over(&peer).await {
                settled.insert(peer.id);
            }
        }
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
    let is_there = |peer: &Peer| peer.state == NodeState::Serving && peer.silent_rounds < SILENT;
    !nodes.peers().iter().any(|peer| is_there(peer) && peer.id < nodes.own_id())
}

struct Watch {
    registry: RegistryHandle,
    services: Services,
    cluster: Arc<ClusterSettings>,
}

impl Watch {
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
                if let Err(error) = self.services.store.lose_node(former.id, epoch).await {
                    tracing::warn!(%error, "a node could not be noted as lost");
                }
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

    /// Whether there is nothing left to do about it until it says something.
    async fn take_over(&self, peer: &Peer) -> bool {
        let begun = Instant::now();
        let fence = match self.fence(peer).await {
            Ok(Some(fence)) => fence,
            // It is there, or it has never been at work.
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(node = peer.name, error, "a node that is silent could not be fenced off");
                return false;
            }
        };
        if self.is_somebody_else_at_it(&fence) {
            return false;
        }
        let epoch = fence.epoch;
        match self.registry.take_over(peer.id, fence).await {
            Ok(done) => {
                tracing::warn!(node = peer.name, ?done, took = ?begun.elapsed(), "the work of a lost node was taken over");
                let noted = self.services.store.lose_node(peer.id, epoch).await;
                noted.inspect_err(|error| tracing::warn!(%error, "a node could not be noted as lost")).is_ok()
            }
            Err(error) => {
                tracing::error!(node = peer.name, %error, "the work of a lost node could not be taken over yet");
                false
            }
        }
    }

    /// The fence behind the last event of a node that does not answer.
    async fn fence(&self, peer: &Peer) -> Result<Option<FencedOff>, String> {
        let (options, by, has_ended) =
            (self.options(peer), self.nodes().own_id().to_string(), peer.state == NodeState::Stopped);
        let fence = move || {
            if !has_ended && answers(&options, &Stop::default())? {
                return Ok(None);
            }
            fence_off(&options, &by, &Stop::default()).map_err(|error| error.to_string())
        };
        tokio::task::spawn_blocking(fence).await.map_err(|error| error.to_string())?
    }

    /// Another node has put the fence there, and is at work.
    fn is_somebody_else_at_it(&self, fence: &FencedOff) -> bool {
        let Ok(by) = fence.by.parse::<NodeId>() else { return false };
        self.nodes().peer(by).is_some_and(|taker| taker.state == NodeState::Serving && taker.silent_rounds < SILENT)
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
