//! A handle to an actor that outlives its incarnations.

use std::future::Future;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use tokio::sync::watch;

use super::{ExitGuard, Policy, Verdict, supervise};

/// The actor has stopped, or is not restarted after a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the actor is gone")]
pub struct Gone;

enum Incarnation<A: Actor> {
    Starting,
    Live { generation: u64, address: Addr<A> },
    Gone,
}

/// What callers hold of a supervised actor.
pub struct Supervised<A: Actor>(watch::Receiver<Incarnation<A>>);

impl<A: Actor> Clone for Supervised<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> Supervised<A> {
    /// A handle, and the future that starts the actor and restarts it as `policy` allows; it must be awaited on the
    /// thread of an arbiter, and ends when the actor is gone. `start` gets the generation, counted from 1, and the guard
    /// that the actor must own.
    pub fn start<F, Fut, E>(policy: Policy, start: F) -> (Self, impl Future<Output = Verdict<E>>)
    where
        F: FnMut(u64, ExitGuard) -> Fut,
        Fut: Future<Output = Result<Addr<A>, E>>,
    {
        Self::start_until(policy, start, async |_| {})
    }

    /// As [`Supervised::start`]; callers find the actor gone only after `last` is done.
    pub fn start_until<F, Fut, E>(
        policy: Policy,
        mut start: F,
        last: impl AsyncFnOnce(&Verdict<E>),
    ) -> (Self, impl Future<Output = Verdict<E>>)
    where
        F: FnMut(u64, ExitGuard) -> Fut,
        Fut: Future<Output = Result<Addr<A>, E>>,
    {
        let (announce, incarnation) = watch::channel(Incarnation::Starting);
        let supervision = async move {
            let verdict = supervise(policy, |generation, guard| {
                let (starting, announce) = (start(generation, guard), &announce);
                async move {
                    let address = starting.await?;
                    announce.send_replace(Incarnation::Live { generation, address });
                    Ok(())
                }
            })
            .await;
            last(&verdict).await;
            announce.send_replace(Incarnation::Gone);
            verdict
        };
        (Self(incarnation), supervision)
    }

    /// Sends a message. An incarnation that dies before it has answered leaves it to the next one, so the message is made
    /// again and must be one that may arrive twice.
    pub async fn send<M>(&self, make: impl Fn() -> M) -> Result<M::Result, Gone>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.send_unless(make, |_| false).await
    }

    /// As [`Supervised::send`]; an answer that says that the incarnation could not take the message up counts as none.
    pub async fn send_unless<M>(
        &self,
        make: impl Fn() -> M,
        is_lost: impl Fn(&M::Result) -> bool,
    ) -> Result<M::Result, Gone>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let mut seen = 0;
        loop {
            let (generation, address) = self.after(seen).await?;
            match address.send(make()).await {
                Ok(answer) if !is_lost(&answer) => return Ok(answer),
                _ => seen = generation,
            }
        }
    }

    /// The incarnation that lives now, or the next one, if it is younger than the generation `seen`.
    pub async fn after(&self, seen: u64) -> Result<(u64, Addr<A>), Gone> {
        let mut incarnation = self.0.clone();
        let changed = incarnation.wait_for(|incarnation| match incarnation {
            Incarnation::Starting => false,
            Incarnation::Live { generation, .. } => *generation > seen,
            Incarnation::Gone => true,
        });
        match changed.await.as_deref() {
            Ok(Incarnation::Live { generation, address }) => Ok((*generation, address.clone())),
            _ => Err(Gone),
        }
    }

    /// Returns when the actor is gone for good.
    pub async fn gone(&self) {
        let mut incarnation = self.0.clone();
        let _ = incarnation.wait_for(|incarnation| matches!(incarnation, Incarnation::Gone)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use actix::{ActorContext, Context};

    use super::*;

    struct Counter {
        generation: u64,
        _guard: ExitGuard,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    /// Answers with the generation that handles it; one that is to die panics instead.
    #[derive(Message)]
    #[rtype(result = "u64")]
    struct Ask {
        dies: u64,
    }

    impl Handler<Ask> for Counter {
        type Result = u64;

        fn handle(&mut self, Ask { dies }: Ask, _: &mut Self::Context) -> u64 {
            assert_ne!(self.generation, dies, "planned");
            self.generation
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Stop;

    impl Handler<Stop> for Counter {
        type Result = ();

        fn handle(&mut self, _: Stop, context: &mut Self::Context) {
            context.stop();
        }
    }

    fn started(times: usize) -> Supervised<Counter> {
        let policy = Policy::Retry { times, within: Duration::from_secs(60) };
        let (handle, supervision) = Supervised::start(policy, |generation, guard| async move {
            Ok::<_, Infallible>(Counter { generation, _guard: guard }.start())
        });
        actix::spawn(supervision);
        handle
    }

    #[actix::test]
    async fn a_message_that_its_actor_dies_of_goes_to_the_next_incarnation() {
        let counter = started(1);
        assert_eq!(counter.send(|| Ask { dies: 9 }).await, Ok(1));
        assert_eq!(counter.send(|| Ask { dies: 1 }).await, Ok(2));
        assert_eq!(counter.send(|| Ask { dies: 2 }).await, Err(Gone), "the policy allows one restart");
        counter.gone().await;
    }

    #[actix::test]
    async fn an_actor_that_has_stopped_is_gone() {
        let counter = started(9);
        let _ = counter.send(|| Stop).await;
        counter.gone().await;
        assert_eq!(counter.send(|| Ask { dies: 9 }).await, Err(Gone));
    }
}
