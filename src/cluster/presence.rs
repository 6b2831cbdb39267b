//! Says that this node is there, and looks who else is.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Nodes;
use crate::domain::node::NodeState;
use crate::store::{Store, StoreError};

/// How often.
pub const ROUND: Duration = Duration::from_millis(500);
/// A database that takes longer is away. Of the last word of a node, too, which holds its end up.
const PATIENCE: Duration = Duration::from_secs(5);

/// For as long as this node is to be seen. Dropped, it says nothing any more, and is not alive soon.
pub struct Presence {
    nodes: Nodes,
    store: Store,
    /// None of a node that is alone.
    keeping: Option<JoinHandle<()>>,
}

impl Presence {
    /// The others see it from now on. Must be called within a runtime.
    pub async fn begin(nodes: Nodes, store: Store) -> Result<Self, StoreError> {
        if nodes.is_alone() {
            return Ok(Self { nodes, store, keeping: None });
        }
        store.register_node(&nodes.own()).await?;
        nodes.look(&store).await?;
        let keeping = tokio::spawn(keep(nodes.clone(), store.clone()));
        Ok(Self { nodes, store, keeping: Some(keeping) })
    }

    /// It has ended in good order.
    pub async fn end(mut self) {
        let Some(mut keeping) = self.keeping.take() else { return };
        // Not in between: its last word is the one of here, and a statement that is broken off holds up the next one.
        self.nodes.end();
        if timeout(PATIENCE, &mut keeping).await.is_err() {
            keeping.abort();
        }
        let said = timeout(PATIENCE, self.store.touch_node(self.nodes.own_id(), NodeState::Stopped)).await;
        if !matches!(said, Ok(Ok(_))) {
            tracing::warn!("the other nodes could not be told that this one has stopped");
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(keeping) = &self.keeping {
            keeping.abort();
        }
    }
}

/// While the database is away, what was known last holds.
async fn keep(nodes: Nodes, store: Store) {
    let mut is_away = false;
    while !nodes.has_ended() {
        let _ = timeout(ROUND, nodes.changed()).await;
        let why = match timeout(PATIENCE, round(&nodes, &store)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        // Once, and not every second.
        if let Some(error) = why.as_ref().filter(|_| !is_away) {
            tracing::warn!(error, "the other nodes could not be read");
        }
        is_away = why.is_some();
    }
}

async fn round(nodes: &Nodes, store: &Store) -> Result<(), StoreError> {
    let own = nodes.own();
    let is_known = store.touch_node(own.id, own.state).await?;
    let list = nodes.list(store).await?;
    if !is_known && !list.nodes.iter().any(|node| node.id == own.id) {
        // The database was restored.
        store.register_node(&own).await?;
        store.note_epoch(own.id, nodes.epoch()).await?;
    }
    nodes.take_over(list);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::in_cluster;
    use super::*;
    use crate::domain::id::NodeId;
    use crate::store::fixture::TestStore;

    async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waited = timeout(Duration::from_secs(60), async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not so: {what}"));
    }

    #[tokio::test]
    async fn nodes_see_each_other_come_and_go() {
        let store = TestStore::open().await;
        let [a, b] = [("http://a:1"), ("http://b:2")].map(in_cluster);
        let of_a = Presence::begin(a.clone(), store.another_handle().await).await.unwrap();
        assert_eq!(a.peers(), []);
        let of_b = Presence::begin(b.clone(), store.another_handle().await).await.unwrap();
        assert_eq!(b.peer(a.own_id()).unwrap().address, "http://a:1");
        until("a sees b", async || a.peer(b.own_id()).is_some_and(|peer| peer.is_alive)).await;
        b.drain();
        let state = |of: &Nodes| of.peer(b.own_id()).map(|peer| peer.state);
        until("a sees b end", async || state(&a) == Some(NodeState::Draining)).await;
        of_b.end().await;
        until("a sees that b has ended", async || state(&a) == Some(NodeState::Stopped)).await;
        assert!(!a.peer(b.own_id()).unwrap().is_alive);
        drop(of_a);
    }

    #[tokio::test]
    async fn what_was_seen_last_holds_while_the_database_is_away() {
        let store = TestStore::open().await;
        let [a, b] = [("http://a:1"), ("http://b:2")].map(in_cluster);
        let of_b = Presence::begin(b.clone(), store.another_handle().await).await.unwrap();
        let handle = store.another_handle().await;
        let of_a = Presence::begin(a.clone(), handle.clone()).await.unwrap();
        handle.close().await.unwrap();
        assert!(round(&a, &handle).await.is_err());
        assert_eq!(a.peer(b.own_id()).unwrap().address, "http://b:2");
        of_a.end().await;
        of_b.end().await;
    }

    #[tokio::test]
    async fn a_node_that_is_alone_asks_the_database_nothing() {
        let blank = TestStore::blank().await;
        let alone = Nodes::alone(NodeId::generate());
        let presence = Presence::begin(alone.clone(), blank.another_handle().await).await.unwrap();
        let list = alone.list(&blank).await.unwrap();
        assert_eq!((list.nodes.len(), list.nodes[0].id), (1, alone.own_id()));
        assert!(list.nodes[0].is_alive(list.at) && alone.settings().is_none());
        presence.end().await;
    }
}
