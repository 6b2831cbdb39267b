//! Connections, and the way a response takes over the socket of its own.
//!
//! Invariant: a socket has one owner. From accept on it is the HTTP dispatcher's, until a response takes it through the
//! connection's [`ConnectionHandle`]; from then on the dispatcher sees a connection at end of file, and what it still
//! wants to write is dropped. A socket is given only when all that was written before has left. Only then, too, may a
//! body that the HTTP dispatcher waits for write to a socket that stays with the dispatcher. Whoever took a socket
//! may give it back ([`Socket::serve_next`]): the HTTP dispatcher then reads the next request from it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::sync::watch;

use super::revocable::WriteCutoff;

/// What a connection's kernel buffer holds for a reader that does not read.
const SEND_BUFFER: usize = 24 << 10;
/// The same for a client that takes much and takes it: with the small one each side waits for the other's every move.
pub const WIDE_BUFFER: usize = 512 << 10;

/// How many connections are open.
#[derive(Clone, Default)]
pub struct Connections(watch::Sender<usize>);

/// Held for as long as its connection is open.
pub struct ConnectionPermit(Connections);

impl Connections {
    /// Returns when none is open.
    pub async fn none(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        *self.0.borrow()
    }

    /// `None` when there are `limit` already.
    pub(super) fn enter(&self, limit: usize) -> Option<ConnectionPermit> {
        let entered = self.0.send_if_modified(|open| {
            let room = *open < limit;
            *open += usize::from(room);
            room
        });
        entered.then(|| ConnectionPermit(self.clone()))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// Serves connections: the HTTP dispatcher of this thread.
#[derive(Clone)]
pub struct Http(Rc<dyn Fn(Connection)>);

impl Http {
    pub fn new(serve: impl Fn(Connection) + 'static) -> Self {
        Self(Rc::new(serve))
    }
}

/// A socket that counts as open, and all there is to a connection once it has been taken.
pub struct Socket {
    pub stream: TcpStream,
    http: Http,
    _permit: ConnectionPermit,
}

impl Socket {
    /// The next request on the connection is the HTTP dispatcher's again.
    pub fn serve_next(self) {
        self.buffer(SEND_BUFFER);
        let Http(serve) = self.http.clone();
        serve(Connection::of(self));
    }

    /// What the kernel keeps of bytes that the other side has not taken.
    pub fn buffer(&self, size: usize) {
        tuned(socket2::SockRef::from(&self.stream).set_send_buffer_size(size));
    }

    /// Whether the other side sees an error, and not an end in good order, when this is dropped or the process is
    /// killed.
    pub fn reset_when_dropped(&self, reset: bool) {
        tuned(socket2::SockRef::from(&self.stream).set_linger(reset.then_some(Duration::ZERO)));
    }
}

fn tuned(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "connection could not be tuned");
    }
}

/// What the HTTP dispatcher reads from and writes to.
pub struct Connection(ConnectionHandle);

/// Access to the socket of a connection, for the response that may take it over.
#[derive(Clone)]
pub struct ConnectionHandle(Rc<Shared>);

struct Shared {
    socket: RefCell<Option<Socket>>,
    /// Whether the HTTP dispatcher has written all it had since this was last cleared.
    flushed: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
    /// Whether the kernel's buffer is larger than it was.
    widened: Cell<bool>,
    /// What ends the connection while the HTTP dispatcher waits for its client.
    cutoff: WriteCutoff,
}

impl Connection {
    /// `None` when `limit` connections are open already.
    pub fn accept(stream: TcpStream, connections: &Connections, limit: usize, http: Http) -> Option<Self> {
        let socket = Socket { stream, http, _permit: connections.enter(limit)? };
        socket.buffer(SEND_BUFFER);
        Some(Self::of(socket))
    }

    fn of(socket: Socket) -> Self {
        Self(ConnectionHandle(Rc::new(Shared {
            socket: RefCell::new(Some(socket)),
            flushed: Cell::new(false),
            waiting: RefCell::default(),
            widened: Cell::new(false),
            cutoff: WriteCutoff::default(),
        })))
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.with(None, |stream| stream.peer_addr().ok())
    }

    pub fn handle(&self) -> ConnectionHandle {
        self.0.clone()
    }

    /// Does something with the socket, or what is fit for a connection that is at its end.
    fn with<T>(&self, taken: T, act: impl FnOnce(Pin<&mut TcpStream>) -> T) -> T {
        match &mut *self.0.0.socket.borrow_mut() {
            Some(socket) => act(Pin::new(&mut socket.stream)),
            None => taken,
        }
    }
}

impl ConnectionHandle {
    pub fn cutoff(&self) -> &WriteCutoff {
        &self.0.cutoff
    }

    /// Waits until the HTTP dispatcher has written what it has now. It must be in a position to go on meanwhile.
    pub fn begin_flush(&self) {
        self.0.flushed.set(false);
    }

    pub fn poll_flushed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.flushed.get() {
            return Poll::Ready(());
        }
        self.0.waiting.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    /// The socket, unless it has been taken before.
    pub fn take(&self) -> Option<Socket> {
        let socket = self.0.socket.borrow_mut().take()?;
        if self.0.widened.take() {
            socket.buffer(SEND_BUFFER);
        }
        Some(socket)
    }

    /// A second name for the socket, for threads of others.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        match &*self.0.socket.borrow() {
            Some(socket) => socket.stream.as_fd().try_clone_to_owned(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Ready when the socket is writable, whichever writer found it full.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.0.socket.borrow();
        let Some(Socket { stream, .. }) = &*socket else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        loop {
            ready!(stream.poll_write_ready(context))?;
            // The runtime's readiness may be stale: another writer has filled the socket since.
            match stream.try_io(Interest::WRITABLE, || has_room(stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return Poll::Ready(looked),
            }
        }
    }

    /// Enlarges the kernel's buffer, for a long response.
    pub fn widen(&self) {
        if let Some(socket) = &*self.0.socket.borrow()
            && !self.0.widened.replace(true)
        {
            socket.buffer(WIDE_BUFFER);
        }
    }
}

/// Fails with `WouldBlock` when there is none. A socket error counts as room: the write reports it.
fn has_room(stream: &TcpStream) -> io::Result<()> {
    let mut looked = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut looked, PollTimeout::ZERO)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(Poll::Ready(Ok(())), |stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.with(Poll::Ready(Ok(bytes.len())), |stream| stream.poll_write(context, bytes));
        self.0.0.cutoff.bound(written, context)
    }

    /// Called when every byte has been accepted by the socket.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.with(Poll::Ready(Ok(())), |stream| stream.poll_flush(context)))?;
        self.0.0.flushed.set(true);
        if let Some(waker) = self.0.0.waiting.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Poll::Ready(Ok(())), |stream| stream.poll_shutdown(context))
    }
}
