//! Files that the kernel sends by itself.
//!
//! Invariant: the bytes go from the file to the socket without passing through this program. The HTTP dispatcher writes
//! the head and waits for a body that never yields; meanwhile, and only when all of the head has left, this writes to
//! the socket beside it. What may wait for a disk is done on a thread that may block, and that thread waits for the socket
//! for some milliseconds at most, and only for a client that has just taken much: a client that does not read holds a
//! connection and nothing else.

use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::sendfile::sendfile;
use tokio::task::JoinHandle;

use super::content::Content;
use crate::http::connection::ConnectionHandle;

/// At most so much is sent at once, so that others have their turn, and a download that is given up ends soon.
const TURN: u64 = 8 << 20;
/// A client that has taken so much in this turn will soon take more: to wait for it costs less than to come back.
const PROMPT: i64 = 128 << 10;
const PROMPT_WAIT_MS: u8 = 3;

/// A part of a file being sent. The response head must carry its length: the body reports none.
pub struct SentFile {
    connection: ConnectionHandle,
    socket: Arc<OwnedFd>,
    content: Arc<dyn Content>,
    at: u64,
    end: u64,
    step: Step,
}

enum Step {
    Begin,
    /// The machinery writes the head.
    Head,
    /// The socket takes nothing at present.
    Full,
    Sending(JoinHandle<io::Result<u64>>),
}

impl SentFile {
    /// Nothing when the content is no file as it is.
    pub fn new(connection: &ConnectionHandle, content: &Arc<dyn Content>, part: Range<u64>) -> Option<Self> {
        content.file()?;
        let socket =
            connection.duplicate().inspect_err(|error| tracing::debug!(error = %error, "socket is not shared"));
        let (connection, content) = (connection.clone(), content.clone());
        Some(Self {
            connection,
            socket: Arc::new(socket.ok()?),
            content,
            at: part.start,
            end: part.end,
            step: Step::Begin,
        })
    }

    /// Ready when all has been sent.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.step = match &mut self.step {
                Step::Begin => {
                    self.connection.begin_flush();
                    Step::Head
                }
                Step::Head => {
                    ready!(self.connection.poll_flushed(context));
                    Step::Full
                }
                Step::Full if self.at == self.end => return Poll::Ready(Ok(())),
                Step::Full => {
                    ready!(self.connection.poll_room(context))?;
                    Step::Sending(self.send())
                }
                Step::Sending(sending) => {
                    let sent = ready!(Pin::new(sending).poll(context)).map_err(io::Error::other).flatten();
                    // Before anything else: what has been polled to its end is not polled again.
                    self.step = Step::Full;
                    self.at += sent?;
                    continue;
                }
            };
        }
    }

    fn send(&self) -> JoinHandle<io::Result<u64>> {
        let (socket, content, at, end) = (self.socket.clone(), self.content.clone(), self.at, self.end);
        tokio::task::spawn_blocking(move || {
            let file = content.file().ok_or(io::ErrorKind::Unsupported)?;
            send(&socket, file, at, end.min(at.saturating_add(TURN)))
        })
    }
}

/// Sends until the socket takes no more; says how much. Blocks for the file, and hardly for the socket.
fn send(socket: &OwnedFd, file: &File, start: u64, end: u64) -> io::Result<u64> {
    let offset = |place: u64| libc::off_t::try_from(place).map_err(|_| io::ErrorKind::InvalidInput);
    let (begin, end) = (offset(start)?, offset(end)?);
    let mut at = begin;
    while at < end {
        let rest = (end - at) as usize;
        match sendfile(socket, file, Some(&mut at), rest) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was")),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if at - begin >= PROMPT && takes_more(socket) => {}
            Err(Errno::EAGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at as u64 - start)
}

/// An error counts as room: the next write reports it.
fn takes_more(socket: &OwnedFd) -> bool {
    let mut looked = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut looked, PollTimeout::from(PROMPT_WAIT_MS)) != Ok(0)
}

impl MessageBody for SentFile {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match ready!(self.get_mut().poll_send(context)) {
            Ok(()) => Poll::Ready(None),
            Err(error) if has_gone(&error) => {
                tracing::debug!(error = %error, "download was given up");
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// Nobody is there to take a part for the whole; the HTTP dispatcher finds the same when it reads.
fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, TimedOut};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | TimedOut)
}
