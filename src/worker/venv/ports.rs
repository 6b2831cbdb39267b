//! What a build's worker needs from outside, given to it as a port.

use futures_util::future::BoxFuture;

use crate::domain::build::{Build, BuildState};
use crate::stream::Tail;

pub trait BuildPorts: Send + Sync + 'static {
    /// The log failed after `log`: records that in the row, with the end of the build, since no terminal event can be
    /// written.
    fn record_end(&self, build: &Build, state: BuildState, log: Tail) -> BoxFuture<'static, ()>;
}
