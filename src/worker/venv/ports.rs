//! What a build's worker needs from outside, given to it as a port.

use futures_util::future::BoxFuture;

use crate::domain::build::{Build, BuildState};
use crate::stream::Tail;

pub trait BuildPorts: Send + Sync + 'static {
    /// The log takes nothing more beyond `log`, so the row is told that, and how the build ended.
    fn record_end(&self, build: &Build, state: BuildState, log: Tail) -> BoxFuture<'static, ()>;
}
