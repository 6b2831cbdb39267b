//! Why a worker is asked to end its work early. The first reason counts.

use tokio::sync::watch;

use crate::event::payload::Caller;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was asked for.
    Cancel { requested_by: Option<Box<Caller>>, reason: Option<String> },
    /// The service is going down.
    Interrupt,
}

/// Held by the owner that may stop a worker.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Option<StopReason>>);

/// Held by the worker.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Option<StopReason>>);

impl Stopper {
    pub fn new() -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), StopSignal(receiver))
    }

    /// True when this reason is the first.
    pub fn stop(&self, reason: StopReason) -> bool {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        })
    }

    pub fn reason(&self) -> Option<StopReason> {
        self.0.borrow().clone()
    }
}

impl StopSignal {
    pub fn reason(&self) -> Option<StopReason> {
        self.0.borrow().clone()
    }

    /// Returns when the worker is asked to stop, which may be never.
    pub async fn stopped(&mut self) -> StopReason {
        match self.0.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().expect("waited until it is some"),
            Err(_) => std::future::pending().await,
        }
    }
}
