//! Supervision: a child that panics is restarted.
//!
//! Law: every incarnation has a generation number, and exactly one exit report reaches its
//! supervisor, whether it stopped or its task unwound. `actix::Supervisor` does neither: after a
//! panic it closes the mailbox for good.

pub mod policy;
pub mod child;
pub mod supervised;

pub use child::{Exit, ExitGuard, Verdict, supervise};
pub use policy::{Budget, Policy};
pub use supervised::{Gone, Supervised};
