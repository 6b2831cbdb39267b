//! The nodes that share one database: which there are, and where each is reached.
//!
//! Law: what is known here is for finding one another and for people, and is as old as the last round ([`presence::ROUND`])
//! or older. Nothing is promised on it: who may write a stream is decided by the fence in its journal, and whose a piece of
//! work is by its row. Without the settings there is one node, no task, and no question to the database.

mod nodes;
pub mod presence;

pub use nodes::{Nodes, Peer};
pub use presence::Presence;
