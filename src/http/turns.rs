//! Who is written to first: clients that read.
//!
//! Invariant: on each thread, clients that have not shown that they read what they are sent are called to write a few at
//! a time, each to one small piece, and between two calls everything else that is ready runs. Thousands of clients that
//! have just stalled take all they are given until the kernel's buffers are full, which is a second's work; without turns
//! everybody who reads would be one of thousands for so long.
//!
//! The gate is a task, and not a semaphore whose permits the clients hand to each other: a task that is woken by its
//! neighbour runs before all that are woken from other threads, and with thousands of them a reader's event would wait
//! until the last has had its turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use actix_web::rt;

use super::reading::Evidence;

/// Bytes that a client may be given in a turn.
const PIECE: usize = 4 << 10;
/// Clients that are called before others run. Several, so that what a call costs is shared.
const CALLED: usize = 8;

thread_local! {
    static GATE: Rc<Gate> = Rc::default();
}

/// The turns of one client.
pub struct Turns {
    gate: Rc<Gate>,
    evidence: Evidence,
    place: Option<Rc<Place>>,
    /// Until it has been given a piece, a client is called by nobody: most streams have fewer bytes to say at once.
    given: usize,
}

impl Turns {
    /// The client behind the socket, on which the stream begins.
    pub fn new(socket: BorrowedFd<'_>) -> Self {
        Self::of(GATE.with(Rc::clone), Evidence::of(socket))
    }

    fn of(gate: Rc<Gate>, evidence: Evidence) -> Self {
        Self { gate, evidence, place: None, given: 0 }
    }

    /// Ready when the client may be written to, with how much.
    pub fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        if self.evidence.reads() {
            return Poll::Ready(usize::MAX);
        }
        if self.given < PIECE {
            return Poll::Ready(PIECE);
        }
        let place = self.place.get_or_insert_with(|| self.gate.enter());
        if place.is_called.get() {
            return Poll::Ready(PIECE);
        }
        place.waker.borrow_mut().clone_from(context.waker());
        Poll::Pending
    }

    /// There is nothing to write at present, or no room for it.
    pub fn give_back(&mut self) {
        self.place = None;
    }

    /// The socket has taken so many bytes.
    pub fn took(&mut self, socket: BorrowedFd<'_>, bytes: usize) {
        self.give_back();
        self.given = self.given.saturating_add(bytes);
        self.evidence.took(socket, bytes);
    }
}

/// A client's place in the queue; whoever drops it has left.
struct Place {
    waker: RefCell<Waker>,
    is_called: Cell<bool>,
}

/// The queue of one thread.
#[derive(Default)]
struct Gate {
    waiting: RefCell<VecDeque<Weak<Place>>>,
    /// A task calls those who wait.
    is_kept: Cell<bool>,
}

impl Gate {
    fn enter(self: &Rc<Self>) -> Rc<Place> {
        let place = Rc::new(Place { waker: RefCell::new(Waker::noop().clone()), is_called: Cell::new(false) });
        self.waiting.borrow_mut().push_back(Rc::downgrade(&place));
        if !self.is_kept.replace(true) {
            rt::spawn(keep(self.clone()));
        }
        place
    }

    /// Calls the next few. Whether anybody was there.
    fn call(&self) -> bool {
        let mut called = 0;
        while called < CALLED {
            let Some(next) = self.waiting.borrow_mut().pop_front() else { break };
            let Some(place) = next.upgrade() else { continue };
            place.is_called.set(true);
            place.waker.borrow().wake_by_ref();
            called += 1;
        }
        called > 0
    }
}

/// Yields between calls, which lets the runtime look at what has been woken from elsewhere: its own wakes come first.
async fn keep(gate: Rc<Gate>) {
    let kept = Kept(gate);
    tokio::task::yield_now().await;
    while kept.0.call() {
        tokio::task::yield_now().await;
    }
}

/// Held by the task that calls. A runtime that ends drops it early, and the thread may have another one later.
struct Kept(Rc<Gate>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.is_kept.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[actix_web::test]
    async fn few_are_called_at_a_time_and_one_that_was_dropped_is_nobody() {
        let socket = socket();
        let gate: Rc<Gate> = Rc::default();
        // The test calls by itself.
        gate.is_kept.set(true);
        let context = &mut Context::from_waker(Waker::noop());
        let mut clients: Vec<_> = (0..2 * CALLED + 2).map(|_| full(&gate, &socket)).collect();
        let mut may_write = |clients: &mut Vec<Turns>| {
            clients.iter_mut().map(|client| client.poll_turn(context).is_ready()).collect::<Vec<_>>()
        };
        assert!(!may_write(&mut clients).contains(&true), "nobody was called");
        clients.remove(1);
        assert!(gate.call());
        let ready = may_write(&mut clients);
        assert_eq!((ready.iter().filter(|ready| **ready).count(), ready[..CALLED].contains(&false)), (CALLED, false));
        // One that has written waits behind all others.
        clients[0].took(socket.as_fd(), 1);
        assert!(!may_write(&mut clients)[0]);
        assert!(gate.call() && !may_write(&mut clients)[0]);
        assert!(gate.call() && may_write(&mut clients)[0]);
        assert!(!gate.call(), "nobody is left");
    }

    #[actix_web::test]
    async fn the_gate_calls_everybody_and_ends() {
        let socket = socket();
        let gate: Rc<Gate> = Rc::default();
        let mut clients: Vec<_> = (0..3 * CALLED).map(|_| full(&gate, &socket)).collect();
        for client in &mut clients {
            assert_eq!(std::future::poll_fn(|context| client.poll_turn(context)).await, PIECE);
        }
        while gate.is_kept.get() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn the_first_piece_needs_no_call() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut client = Turns::of(Rc::default(), Evidence::default());
        assert_eq!(client.poll_turn(context), Poll::Ready(PIECE));
    }

    fn full(gate: &Rc<Gate>, socket: &TcpStream) -> Turns {
        let mut client = Turns::of(gate.clone(), Evidence::of(socket.as_fd()));
        client.took(socket.as_fd(), PIECE);
        client
    }

    /// Nothing is written to it, so nothing tells that the other side reads.
    fn socket() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    }
}
