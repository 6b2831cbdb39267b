//! How the fence of a node that takes another's work over is told from that of a process that writes the journal.

/// What the id of such a fence begins with. Behind it is who has put it there.
const TAKEOVER: &str = "takeover/";

/// A new id, of this node.
pub(super) fn fence_of_taker(node: &str) -> String {
    format!("{TAKEOVER}{node}/{}", ulid::Ulid::generate())
}

/// Who has put it there; none if it is a writer's.
pub(super) fn taker(fence: &str) -> Option<&str> {
    fence.strip_prefix(TAKEOVER).and_then(|rest| rest.split('/').next())
}
