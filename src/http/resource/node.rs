//! The nodes that share the database.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::NodeId;
use crate::domain::node::{Node, NodeState};
use crate::domain::time;
use crate::domain::time::Timestamp;

#[derive(Serialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeResource<'a> {
    node_id: NodeId,
    #[schema(pattern = "^ade[.]node$")]
    object: &'static str,
    /// Of its journal.
    name: &'a str,
    /// Where the others reach it; null for a node that is alone.
    address: Option<&'a str>,
    /// Of the program.
    version: &'a str,
    state: NodeState,
    /// Whether it is the one that answers.
    is_self: bool,
    /// Whether it is at work, and was seen within the last ten seconds.
    alive: bool,
    #[schema(format = DateTime)]
    started_at: String,
    /// By the clock of the database.
    #[schema(format = DateTime)]
    seen_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NodeList)]
pub struct NodeListing<'a> {
    items: Vec<NodeResource<'a>>,
    total: usize,
}

impl<'a> NodeListing<'a> {
    pub fn of(nodes: &'a [Node], at: Timestamp, own: NodeId) -> Self {
        let items: Vec<_> = nodes.iter().map(|node| NodeResource::of(node, at, own)).collect();
        Self { total: items.len(), items }
    }
}

impl<'a> NodeResource<'a> {
    fn of(node: &'a Node, at: Timestamp, own: NodeId) -> Self {
        Self {
            node_id: node.id,
            object: "ade.node",
            name: &node.name,
            address: Some(node.address.as_str()).filter(|address| !address.is_empty()),
            version: &node.version,
            state: node.state,
            is_self: node.id == own,
            alive: node.is_alive(at),
            started_at: time::format(node.started_at),
            seen_at: time::format(node.seen_at),
        }
    }
}
