//! Whether queued work may begin. Held while safe mode is on, closed for good when the service goes down.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Open,
    Held,
    Closed,
}

/// Shared by all who wait before it.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<Passage>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(Passage::Open))
    }
}

impl Gate {
    pub fn passage(&self) -> Passage {
        *self.0.borrow()
    }

    /// A gate that is closed stays so.
    pub fn set(&self, passage: Passage) {
        self.0.send_if_modified(|current| {
            let changes = *current != Passage::Closed && *current != passage;
            if changes {
                *current = passage;
            }
            changes
        });
    }

    /// Returns when the gate is not held: whether it is open, rather than closed.
    pub async fn passed(&self) -> bool {
        let mut changes = self.0.subscribe();
        changes.wait_for(|passage| *passage != Passage::Held).await.is_ok_and(|passage| *passage == Passage::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_held_gate_is_passed_when_it_opens_or_closes() {
        let gate = Gate::default();
        assert!(gate.passed().await);
        gate.set(Passage::Held);
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.passed().await }
        });
        gate.set(Passage::Open);
        assert!(waiting.await.unwrap());
        gate.set(Passage::Closed);
        gate.set(Passage::Open);
        assert!(!gate.passed().await, "closed is for good");
    }
}
