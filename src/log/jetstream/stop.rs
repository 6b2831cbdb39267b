//! How a start is asked to end while it waits for its servers.
//!
//! Law: it is heard until the fence may be stored, and never from then on: who has fenced another process takes its place, or
//! says by another way why not.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks a start to end. Clones ask the same one.
#[derive(Clone, Default)]
pub struct Stop(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Default)]
struct State {
    is_asked: bool,
    is_deaf: bool,
}

impl State {
    fn is_heard(&self) -> bool {
        self.is_asked && !self.is_deaf
    }
}

impl Stop {
    pub fn ask(&self) {
        self.0.send_modify(|state| state.is_asked = true);
    }

    /// Asked, and heard.
    pub(super) fn is_asked(&self) -> bool {
        self.0.borrow().is_heard()
    }

    /// Whether the start may go on; if so, what is asked from now on is not heard.
    pub(super) fn pass(&self) -> bool {
        self.0.send_if_modified(|state| {
            state.is_deaf = !state.is_asked;
            state.is_deaf
        })
    }

    /// What has been asked meanwhile is heard again.
    pub(super) fn hear(&self) {
        self.0.send_modify(|state| state.is_deaf = false);
    }

    /// Waits until it is asked, and heard.
    pub(super) async fn asked(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(State::is_heard).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_behind_the_fence_is_heard_only_if_that_was_not_stored() {
        let stop = Stop::default();
        assert!(stop.pass() && !stop.is_asked());
        stop.clone().ask();
        assert!(!stop.is_asked());
        stop.hear();
        assert!(stop.is_asked() && !stop.pass());
        assert!(stop.is_asked(), "who may not pass hears on");
    }
}
