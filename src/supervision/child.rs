//! The exit guard that a child carries, and the loop that restarts it.

use std::future::Future;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Budget, Policy};

/// How an incarnation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Stopped,
    Panicked,
}

/// Carried by a child as a field. Its drop is the exit report, so neither a panic nor a cancelled task can lose it.
#[derive(Debug)]
pub struct ExitGuard(Option<oneshot::Sender<Exit>>);

impl ExitGuard {
    pub fn new() -> (Self, oneshot::Receiver<Exit>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let exit = if std::thread::panicking() { Exit::Panicked } else { Exit::Stopped };
        if let Some(sender) = self.0.take() {
            let _ = sender.send(exit);
        }
    }
}

/// How supervision of a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<E> {
    /// It stopped by itself.
    Stopped,
    /// It panicked and its policy allows no further incarnation.
    GaveUp,
    /// It could not be started.
    NotStarted(E),
}

/// Starts a child and restarts it after a panic, as its policy allows. `start` gets the generation,
/// counted from 1, and the guard that the child must own.
pub async fn supervise<F, Fut, E>(policy: Policy, mut start: F) -> Verdict<E>
where
    F: FnMut(u64, ExitGuard) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    let mut budget = Budget::new(policy);
    for generation in 1.. {
        let (guard, exit) = ExitGuard::new();
        if let Err(error) = start(generation, guard).await {
            return Verdict::NotStarted(error);
        }
        match exit.await.unwrap_or(Exit::Panicked) {
            Exit::Stopped => return Verdict::Stopped,
            Exit::Panicked if budget.take(Instant::now()) => {
                tracing::warn!(generation, "child panicked and is restarted");
            }
            Exit::Panicked => return Verdict::GaveUp,
        }
    }
    unreachable!("generations do not run out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_panicking_child_is_restarted_until_its_budget_is_spent() {
        let policy = Policy::Retry { times: 2, within: Duration::from_secs(60) };
        let mut seen = Vec::new();
        let verdict = supervise(policy, |generation, guard| {
            seen.push(generation);
            let child = tokio::spawn(async move {
                let _guard = guard;
                panic!("planned");
            });
            async move {
                let _ = child.await;
                Ok::<_, ()>(())
            }
        })
        .await;
        assert_eq!(verdict, Verdict::GaveUp);
        assert_eq!(seen, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_child_that_stops_is_left_alone() {
        let verdict = supervise(Policy::Never, |_, guard| {
            drop(guard);
            async { Ok::<_, ()>(()) }
        })
        .await;
        assert_eq!(verdict, Verdict::Stopped);
    }
}
