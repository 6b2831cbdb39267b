//! A response that ends when its caller is not let in any more.
//!
//! Invariant: after that not a byte is asked for. Until then it costs each piece a load, and a response that waits one
//! entry in a list.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::sync::futures::OwnedNotified;

use crate::access::revocation::Revocation;

/// Listens for the end of what a caller was let in by, on behalf of one task.
pub struct Cutoff {
    revocation: Revocation,
    told: Pin<Box<OwnedNotified>>,
    /// Who is woken when it is told.
    waker: Option<Waker>,
}

/// It is cut off, so that nobody takes it for a whole one.
#[derive(Debug, thiserror::Error)]
#[error("the caller is not let in any more")]
pub struct Revoked;

impl Cutoff {
    pub fn new(revocation: Revocation) -> Self {
        Self { told: Box::pin(revocation.told()), revocation, waker: None }
    }

    pub fn check(&self) -> Result<(), Revoked> {
        if self.revocation.is_revoked() { Err(Revoked) } else { Ok(()) }
    }

    /// Pending until it is told; sees to it that this task is woken then.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Revoked> {
        if let Err(revoked) = self.check() {
            return Poll::Ready(revoked);
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        Future::poll(self.told.as_mut(), context).map(|()| Revoked)
    }
}

/// Ends a connection whose client does not take what it was sent: while the HTTP dispatcher waits for that, it asks no
/// body for anything.
#[derive(Clone, Default)]
pub struct WriteCutoff(Rc<RefCell<Option<Cutoff>>>);

impl WriteCutoff {
    /// The response that begins is the caller's whom this ends.
    pub fn set(&self, revocation: Option<Revocation>) {
        self.0.replace(revocation.map(Cutoff::new));
    }

    /// What a write has come to, or an error if it has to wait and nobody may wait for it any more.
    pub fn bound<T>(&self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match &mut *self.0.borrow_mut() {
            Some(cutoff) if written.is_pending() => cutoff.poll(context).map(|revoked| Err(io::Error::other(revoked))),
            _ => written,
        }
    }
}

pub struct Revocable {
    body: BoxBody,
    cutoff: Cutoff,
}

impl Revocable {
    pub fn new(body: BoxBody, revocation: Revocation) -> Self {
        Self { body, cutoff: Cutoff::new(revocation) }
    }
}

impl MessageBody for Revocable {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let response = self.get_mut();
        if let Err(revoked) = response.cutoff.check() {
            return Poll::Ready(Some(Err(revoked.into())));
        }
        match Pin::new(&mut response.body).poll_next(context) {
            Poll::Pending => response.cutoff.poll(context).map(|revoked| Some(Err(revoked.into()))),
            polled => polled.map_err(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use actix_web::body::BodyStream;
    use futures_util::stream;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(body: &mut Revocable, count: &Arc<Count>) -> Poll<Option<bool>> {
        let waker = count.clone().into();
        Pin::new(body).poll_next(&mut Context::from_waker(&waker)).map(|item| item.map(|item| item.is_ok()))
    }

    fn silent() -> BoxBody {
        BoxBody::new(BodyStream::new(stream::pending::<Result<Bytes, std::io::Error>>()))
    }

    #[test]
    fn a_response_that_waits_is_woken_and_ends() {
        let (revocation, count) = (Revocation::default(), Arc::new(Count::default()));
        let mut body = Revocable::new(silent(), revocation.clone());
        assert_eq!((poll(&mut body, &count), poll(&mut body, &count)), (Poll::Pending, Poll::Pending));
        revocation.revoke();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut body, &count), Poll::Ready(Some(false)));
    }

    #[test]
    fn the_task_that_polled_last_is_woken() {
        let (revocation, first, last) = (Revocation::default(), Arc::new(Count::default()), Arc::new(Count::default()));
        let mut body = Revocable::new(silent(), revocation.clone());
        assert!(poll(&mut body, &first).is_pending() && poll(&mut body, &last).is_pending());
        revocation.revoke();
        assert_eq!(last.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn nothing_is_asked_for_afterwards() {
        let revocation = Revocation::default();
        let bytes = || Ok::<_, std::io::Error>(Bytes::from_static(b"x"));
        let endless = stream::repeat_with(bytes);
        let mut body = Revocable::new(BoxBody::new(BodyStream::new(endless)), revocation.clone());
        let count = Arc::default();
        assert_eq!(poll(&mut body, &count), Poll::Ready(Some(true)));
        revocation.revoke();
        assert_eq!(poll(&mut body, &count), Poll::Ready(Some(false)));
    }
}
