//! The nodes that share the database.
//!
//! Law: when a node was seen last is said by the clock of the database, so that those of the nodes may differ.

use chrono::Utc;
use entity::node::{ActiveModel, Column, Entity, Model};
use entity::{feed_origin, feed_owner};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set, Statement,
};

use super::cells::{Cells, stored};
use super::listable::column_of;
use super::rows::{StoredWork, column};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::node::{Node, NodeState};
use crate::domain::time::{Timestamp, micros};

/// More than a cluster has; whoever is asked for all of them is given no more.
const MOST: u64 = 1000;

/// The nodes of a cluster, and when they were read, by the clock of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeList {
    pub at: Timestamp,
    pub nodes: Vec<Node>,
}

impl Store {
    /// A node that starts. It was seen now, whatever the record says.
    pub async fn register_node(&self, node: &Node) -> Result<(), StoreError> {
        use Column::{Address, Cluster, Journal, Name, SeenAt, StartedAt, State, Version};
        let node = Node { seen_at: self.time().await?, ..node.clone() };
        let changed = [Name, Cluster, Address, Version, Journal, State, StartedAt, SeenAt];
        let or_change = OnConflict::column(Column::NodeId).update_columns(changed).to_owned();
        let insert = Entity::insert(row(&node)).on_conflict(or_change);
        insert.exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    /// It is at work, and in this state. False, and nothing is changed, where there is no row of it, or another node has said
    /// that it is lost.
    pub async fn touch_node(&self, id: NodeId, state: NodeState) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::State, Expr::value(state.as_str()))
            .col_expr(Column::SeenAt, self.clock())
            .filter(Column::NodeId.eq(id.to_string()))
            .filter(Column::State.ne(NodeState::Lost.as_str()));
        Ok(update.exec(&*self.write_relaxed().await).await?.rows_affected > 0)
    }

    /// Says of another node that it is lost, unless it has started behind the fence of this epoch. What it says of itself does
    /// not change that any more, until it starts again.
    pub async fn lose_node(&self, id: NodeId, fence: u64) -> Result<bool, StoreError> {
        let change = ActiveModel { state: Set(NodeState::Lost.as_str().into()), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::NodeId.eq(id.to_string()));
        let update = update.filter(Column::Epoch.lt(stored(fence)));
        Ok(update.exec(&*self.write().await).await?.rows_affected > 0)
    }

    /// The process of this epoch writes the journal of the node. From here on nobody takes work of it over that another fence
    /// stood behind: who does has the row locked until the work is theirs.
    ///
    /// Somebody may have said meanwhile that the process before it is lost.
    pub async fn note_epoch(&self, id: NodeId, epoch: u64) -> Result<(), StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::Epoch, Expr::value(stored(epoch)))
            .col_expr(Column::State, Expr::value(NodeState::Serving.as_str()))
            .col_expr(Column::SeenAt, self.clock())
            .filter(Column::NodeId.eq(id.to_string()));
        update.exec(&*self.write().await).await?;
        Ok(())
    }

    /// Makes work of a node that is lost another's; false if it is not that node's any more, or that one has started behind
    /// the fence of this epoch.
    pub async fn move_work<W: StoredWork>(
        &self,
        id: W::Id,
        from: NodeId,
        fence: u64,
        to: NodeId,
    ) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let mut moved = false;
        if is_behind(&transaction, from, fence).await? {
            let node_id = column::<W>("node_id");
            let update = W::Entity::update_many().col_expr(node_id, Expr::value(to.to_string()));
            let update = update.filter(column_of::<W>(Field::Id).eq(id.to_string()));
            let update = update.filter(node_id.eq(from.to_string()));
            moved = update.exec(&transaction).await?.rows_affected > 0;
        }
        transaction.commit().await?;
        Ok(moved)
    }

    /// As [`Store::move_work`], of these feeds of a node, and of what feeds owe to its streams.
    pub async fn move_feeds(
        &self,
        from: NodeId,
        fence: u64,
        to: NodeId,
        feeds: &[WorkspaceId],
    ) -> Result<(), StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        if is_behind(&transaction, from, fence).await? {
            let update = feed_origin::Entity::update_many()
                .col_expr(feed_origin::Column::NodeId, Expr::value(to.to_string()))
                .filter(feed_origin::Column::NodeId.eq(from.to_string()));
            update.exec(&transaction).await?;
            let update = feed_owner::Entity::update_many()
                .col_expr(feed_owner::Column::NodeId, Expr::value(to.to_string()))
                .filter(feed_owner::Column::NodeId.eq(from.to_string()))
                .filter(feed_owner::Column::WorkspaceId.is_in(feeds.iter().map(ToString::to_string)));
            update.exec(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// In the order of their ids, which is that of their first starts.
    pub async fn nodes(&self, cluster: &str) -> Result<NodeList, StoreError> {
        let at = self.time().await?;
        let select = Entity::find().filter(Column::Cluster.eq(cluster)).order_by_asc(Column::NodeId).limit(MOST);
        let nodes = select.all(self.read()).await?.into_iter().map(record).collect::<Result<_, _>>()?;
        Ok(NodeList { at, nodes })
    }

    /// The database's clock, as a part of a statement.
    fn clock(&self) -> Expr {
        match self.dialect() {
            DbBackend::Postgres => Expr::current_timestamp(),
            // It has none: it is this process.
            _ => Expr::value(micros(Utc::now())),
        }
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        if self.dialect() != DbBackend::Postgres {
            return Ok(micros(Utc::now()));
        }
        let now = Statement::from_string(DbBackend::Postgres, "SELECT CURRENT_TIMESTAMP AS now");
        let row = self.read().query_one_raw(now).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
        Ok(row.try_get("", "now")?)
    }
}

/// Whether the last process of a node is an earlier one than this fence; the row says so until the transaction ends.
async fn is_behind(transaction: &DatabaseTransaction, id: NodeId, fence: u64) -> Result<bool, DbErr> {
    let node = Entity::find_by_id(id.to_string()).lock_shared().one(transaction).await?;
    Ok(node.is_some_and(|node| node.epoch < stored(fence)))
}

fn row(node: &Node) -> ActiveModel {
    ActiveModel {
        node_id: Set(node.id.to_string()),
        name: Set(node.name.clone()),
        cluster: Set(node.cluster.clone()),
        address: Set(node.address.clone()),
        version: Set(node.version.clone()),
        journal: Set(node.journal.clone()),
        state: Set(node.state.as_str().into()),
        started_at: Set(micros(node.started_at)),
        seen_at: Set(micros(node.seen_at)),
        // Its own, of earlier, where there is a row.
        epoch: NotSet,
    }
}

fn record(row: Model) -> Result<Node, StoreError> {
    let cells = Cells { table: "nodes", id: &row.node_id };
    Ok(Node {
        id: cells.id("node_id", &row.node_id)?,
        state: cells.word("state", NodeState::parse, &row.state)?,
        name: row.name,
        cluster: row.cluster,
        address: row.address,
        version: row.version,
        journal: row.journal,
        started_at: row.started_at,
        seen_at: row.seen_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feed::FeedOrigin;
    use crate::domain::principal::Scope;
    use crate::domain::run::Run;
    use crate::domain::{RunId, StreamKey};
    use crate::store::fixture::{TestStore, at, run};

    fn node(name: &str) -> Node {
        Node {
            id: NodeId::generate(),
            name: name.into(),
            cluster: "ade".into(),
            address: format!("http://{name}:8000"),
            version: "1.0.0".into(),
            journal: format!("ade-ade-j-{name}"),
            state: NodeState::Serving,
            started_at: at(1),
            seen_at: at(1),
        }
    }

    #[tokio::test]
    async fn a_node_is_seen_by_the_clock_of_the_database_from_its_start_on() {
        let store = TestStore::open().await;
        let mut both = ["a", "b"].map(node);
        both.sort_by_key(|node| node.id.to_string());
        let [a, b] = both;
        for node in [&a, &b, &Node { cluster: "other".into(), ..node("c") }] {
            store.register_node(node).await.unwrap();
        }
        let list = store.nodes("ade").await.unwrap();
        let names: Vec<_> = list.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, [&a.name, &b.name], "of this cluster alone");
        assert!(list.nodes.iter().all(|node| node.is_alive(list.at) && node.started_at == at(1)), "{list:?}");

        let moved = Node { address: "http://new:1".into(), started_at: at(5), ..a.clone() };
        store.register_node(&moved).await.unwrap();
        let first = store.nodes("ade").await.unwrap().nodes.remove(0);
        assert_eq!(first, Node { seen_at: first.seen_at, ..moved });
    }

    #[tokio::test]
    async fn work_of_a_lost_node_changes_hands_once_and_never_once_that_has_started_again() {
        let (store, configuration) = TestStore::furnished().await;
        let [lost, one, other] = ["lost", "one", "other"].map(node);
        for node in [&lost, &one, &other] {
            store.register_node(node).await.unwrap();
        }
        store.note_epoch(lost.id, 3).await.unwrap();
        let runs = [(); 3].map(|()| Run { node_id: lost.id, ..run(&configuration) });
        for run in &runs {
            store.insert(run, None).await.unwrap();
        }
        let take =
            async |run: &Run, fence, to: &Node| store.move_work::<Run>(run.id, lost.id, fence, to.id).await.unwrap();
        let owner = async |run: &Run| store.find::<Run>(&Scope::All, run.id).await.unwrap().unwrap().node_id;
        assert!(!take(&runs[0], 3, &one).await, "its own process is no older than this fence");
        assert!(take(&runs[0], 4, &one).await && !take(&runs[0], 4, &other).await);
        assert!(take(&runs[1], 4, &other).await);
        store.note_epoch(lost.id, 5).await.unwrap();
        assert!(!take(&runs[2], 4, &one).await && !store.lose_node(lost.id, 4).await.unwrap());
        assert_eq!([owner(&runs[0]).await, owner(&runs[1]).await, owner(&runs[2]).await], [one.id, other.id, lost.id]);
    }

    #[tokio::test]
    async fn feeds_of_a_lost_node_go_with_what_is_owed_to_its_streams() {
        let store = TestStore::open().await;
        let [lost, taker] = ["lost", "taker"].map(node);
        store.register_node(&lost).await.unwrap();
        store.note_epoch(lost.id, 3).await.unwrap();
        let [whole, part] = [WorkspaceId::generate(), WorkspaceId::generate()];
        for feed in [whole, part] {
            assert_eq!(store.feed_owner(feed, lost.id).await.unwrap(), lost.id);
        }
        let owed = FeedOrigin { key: StreamKey::of(whole, RunId::generate()), node_id: lost.id, after: 0 };
        store.insert_feed_origin(&owed).await.unwrap();
        store.move_feeds(lost.id, 3, taker.id, &[whole]).await.unwrap();
        assert_eq!(store.feeds_of(taker.id).await.unwrap(), []);
        store.move_feeds(lost.id, 4, taker.id, &[whole]).await.unwrap();
        assert_eq!(store.feeds_of(taker.id).await.unwrap(), [whole]);
        assert_eq!(store.feeds_of(lost.id).await.unwrap(), [part]);
        assert_eq!(store.feed_origins(taker.id).await.unwrap(), [FeedOrigin { node_id: taker.id, ..owed }]);
    }

    #[tokio::test]
    async fn a_node_that_others_call_lost_says_nothing_of_itself_until_it_starts_again() {
        let store = TestStore::open().await;
        let a = node("a");
        assert!(!store.touch_node(a.id, NodeState::Serving).await.unwrap(), "nobody knows it");
        store.register_node(&a).await.unwrap();
        let seen = async || store.nodes("ade").await.unwrap().nodes.remove(0);
        let before = seen().await;
        assert!(store.touch_node(a.id, NodeState::Draining).await.unwrap());
        let after = seen().await;
        assert!(after.state == NodeState::Draining && after.seen_at > before.seen_at, "{after:?}");
        assert!(store.lose_node(a.id, 1).await.unwrap());
        assert!(!store.touch_node(a.id, NodeState::Serving).await.unwrap());
        assert_eq!(seen().await.state, NodeState::Lost);
        store.register_node(&a).await.unwrap();
        assert_eq!(seen().await.state, NodeState::Serving);
    }
}
