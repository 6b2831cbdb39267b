//! Streams on a socket of their own.
//!
//! Invariant: a response whose length is not known leaves the HTTP dispatcher as soon as its head is on the way. What
//! then stands between an event and its readers is one small task each, which writes the bytes that they share; a
//! reader that waits costs neither buffers nor the state of a request, and one that does not read is asked for nothing.
//!
//! A client can tell a complete response from one that was cut off, whatever cut it. In HTTP/1.1 the rest of the
//! response is chunked (RFC 9112, 7.1) and only a complete one has its last chunk; afterwards the connection takes the
//! next request. In HTTP/1.0 the end of the connection is the end of the response: it is closed in good order after a
//! complete one, and reset otherwise, by the kernel too when this process is killed.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Method, Version, header};
use actix_web::middleware::Next;
use actix_web::rt;
use bytes::Bytes;
use tokio::time::timeout;

use super::connection::{ConnectionHandle, Socket, WIDE_BUFFER};
use super::revocable::{Cutoff, Revocable, Revoked};
use super::tls::Encrypted;
use super::turns::Turns;
use crate::access::revocation::Revocation;

const LINE_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How long a connection waits for the next request after a stream.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A client that has taken so much is given a larger kernel buffer: replays and downloads need not wait for each
/// other's every move then, and those who never read stay as cheap as they are.
const FAST_READER: usize = 1 << 20;

/// Lets responses of unknown length go on by themselves.
pub async fn hand_over(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let connection = request.conn_data::<ConnectionHandle>().cloned();
    let encrypted = request.conn_data::<Encrypted>().cloned();
    let end = End::of(&request);
    let is_head = request.method() == Method::HEAD;
    let mut response = next.call(request).await?.map_into_boxed_body();
    let has_length = response.headers().contains_key(header::CONTENT_LENGTH);
    let is_stream = !has_length && response.response().body().size() == BodySize::Stream;
    if is_stream && end == End::OfConnection {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    let revocation = response.response_mut().extensions_mut().remove::<Revocation>();
    let cutoff = encrypted.as_ref().map(|it| &it.cutoff).or(connection.as_ref().map(ConnectionHandle::cutoff));
    if let Some(cutoff) = cutoff {
        // One that goes on by itself is cut off there.
        let stays = !(is_stream && connection.is_some());
        cutoff.set(revocation.clone().filter(|_| stays));
    }
    Ok(response.map_body(|_, body| match (connection, revocation) {
        _ if is_head => BoxBody::new(BodyLess(body.size())),
        (Some(connection), revocation) if is_stream => {
            let stream = Stream { body, end, cutoff: revocation.map(Cutoff::new) };
            BoxBody::new(Handover { connection, stream: Some(stream), asked: false })
        }
        (_, Some(revocation)) => BoxBody::new(Revocable::new(body, revocation)),
        (_, None) => body,
    }))
}

/// What `HEAD` gets of a body: what its head says of it.
struct BodyLess(BodySize);

impl MessageBody for BodyLess {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// How a client learns that a response is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By the last chunk; then the connection may take another request.
    LastChunk { keep: bool },
    /// Older clients know no chunks, and take what comes until the connection is closed.
    OfConnection,
}

impl End {
    fn of(request: &ServiceRequest) -> Self {
        match request.version() {
            Version::HTTP_11 => Self::LastChunk { keep: request.head().connection_type() == ConnectionType::KeepAlive },
            _ => Self::OfConnection,
        }
    }
}

/// What goes on by itself.
struct Stream {
    body: BoxBody,
    end: End,
    cutoff: Option<Cutoff>,
}

/// Stands for a body until the head has been written.
struct Handover {
    connection: ConnectionHandle,
    stream: Option<Stream>,
    asked: bool,
}

impl MessageBody for Handover {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    /// Never yields: at its end the HTTP dispatcher believes that all is said.
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let handover = self.get_mut();
        if !std::mem::replace(&mut handover.asked, true) {
            handover.connection.begin_flush();
        }
        ready!(handover.connection.poll_flushed(context));
        if let Some((socket, stream)) = handover.connection.take().zip(handover.stream.take()) {
            rt::spawn(Push::new(socket, stream));
            // The dispatcher has read before this. It reads again now, finds the end and goes; else it would keep its buffers
            // until the time of a connection that is kept alive is over.
            context.waker().wake_by_ref();
        }
        Poll::Ready(None)
    }
}

/// Writes a body to its socket until either is at its end.
struct Push {
    /// Taken at the end.
    socket: Option<Socket>,
    stream: Stream,
    /// What is being written.
    piece: Option<Piece>,
    /// Nothing comes after `piece`.
    over: bool,
    /// The client has sent something meanwhile, which is not read as a request.
    interrupted: bool,
    /// Bytes that the socket has taken, as long as that is of interest.
    taken: usize,
    turns: Turns,
}

impl Future for Push {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let push = self.get_mut();
        let Some(socket) = push.socket.take() else { return Poll::Ready(()) };
        match push.poll_write(&socket, context) {
            Poll::Ready(Ok(())) => push.finish(socket),
            Poll::Ready(Err(error)) => tracing::debug!(error = %error, "stream was cut off"),
            // A client that has gone must not be kept until the next event, nor one that is not let in any more until it
            // reads again.
            Poll::Pending if push.poll_gone(&socket, context).is_ready() => {}
            Poll::Pending if push.poll_revoked(context).is_ready() => socket.reset_when_dropped(true),
            Poll::Pending => {
                push.socket = Some(socket);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Push {
    fn new(socket: Socket, stream: Stream) -> Self {
        if stream.end == End::OfConnection {
            socket.reset_when_dropped(true);
        }
        let turns = Turns::new(socket.stream.as_fd());
        Self { socket: Some(socket), stream, piece: None, over: false, interrupted: false, taken: 0, turns }
    }

    /// The whole response has been written.
    fn finish(&self, socket: Socket) {
        match self.stream.end {
            End::LastChunk { keep: true } if !self.interrupted => drop(rt::spawn(await_next(socket))),
            End::LastChunk { .. } => {}
            End::OfConnection => socket.reset_when_dropped(false),
        }
    }

    /// Writes a piece in each turn. A turn is not kept while there is nothing to write, or no room.
    fn poll_write(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !(self.over && self.piece.is_none()) {
            let most = ready!(self.turns.poll_turn(context));
            let polled = self.poll_step(socket, most, context);
            if polled.is_pending() {
                self.turns.give_back();
            }
            ready!(polled)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Gets the next piece, or writes what there is of it, at most so many bytes.
    fn poll_step(&mut self, socket: &Socket, most: usize, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(piece) = &mut self.piece else {
            self.piece = ready!(self.poll_piece(context))?;
            return Poll::Ready(Ok(()));
        };
        let count = ready!(piece.poll_write(socket, most, context))?;
        self.turns.took(socket.stream.as_fd(), count);
        if piece.is_written() {
            let length = piece.bytes.len();
            self.piece = None;
            self.earn(socket, length);
        }
        Poll::Ready(Ok(()))
    }

    fn earn(&mut self, socket: &Socket, length: usize) {
        let before = self.taken;
        self.taken = before.saturating_add(length);
        if before < FAST_READER && self.taken >= FAST_READER {
            socket.buffer(WIDE_BUFFER);
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Piece>>> {
        let chunked = self.stream.end != End::OfConnection;
        self.stream.cutoff.as_ref().map_or(Ok(()), Cutoff::check).map_err(io::Error::other)?;
        match ready!(Pin::new(&mut self.stream.body).poll_next(context)) {
            // An empty chunk would be the last.
            Some(Ok(bytes)) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Some(Ok(bytes)) if chunked => Poll::Ready(Ok(Some(Piece::chunk(bytes)))),
            Some(Ok(bytes)) => Poll::Ready(Ok(Some(Piece::plain(bytes, b"")))),
            Some(Err(error)) => Poll::Ready(Err(io::Error::other(error.to_string()))),
            None => {
                self.over = true;
                Poll::Ready(Ok(chunked.then(|| Piece::plain(Bytes::new(), LAST_CHUNK))))
            }
        }
    }

    /// Ready when the client is not let in any more.
    fn poll_revoked(&mut self, context: &mut Context<'_>) -> Poll<Revoked> {
        match &mut self.stream.cutoff {
            Some(cutoff) => cutoff.poll(context),
            None => Poll::Pending,
        }
    }

    /// Ready when the other side has hung up. A request that is sent before the response has ended is not served on
    /// this connection.
    fn poll_gone(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<()> {
        let mut ignored = [0; 256];
        loop {
            if ready!(socket.stream.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            match socket.stream.try_read(&mut ignored) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => self.interrupted = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

/// Meanwhile a connection costs no more than its socket and a timer.
async fn await_next(socket: Socket) {
    if let Ok(Ok(())) = timeout(KEEP_ALIVE, socket.stream.readable()).await {
        socket.serve_next();
    }
}

/// Bytes on their way. As a chunk: its size and line end, its bytes, a line end.
struct Piece {
    head: [u8; 18],
    head_length: u8,
    bytes: Bytes,
    tail: &'static [u8],
    written: usize,
}

impl Piece {
    fn chunk(bytes: Bytes) -> Self {
        let mut head = [0; 18];
        let digits = (usize::BITS - bytes.len().leading_zeros()).div_ceil(4).max(1) as usize;
        for (at, digit) in head[..digits].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[bytes.len() >> (4 * (digits - 1 - at)) & 15];
        }
        head[digits..digits + 2].copy_from_slice(LINE_END);
        Self { head, head_length: digits as u8 + 2, bytes, tail: LINE_END, written: 0 }
    }

    fn plain(bytes: Bytes, tail: &'static [u8]) -> Self {
        Self { head: [0; 18], head_length: 0, bytes, tail, written: 0 }
    }

    fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..usize::from(self.head_length)], &self.bytes, self.tail]
    }

    /// Of what is not written yet, at most so many bytes.
    fn rest(&self, most: usize) -> [&[u8]; 3] {
        let (mut skip, mut most) = (self.written, most);
        self.parts().map(|part| {
            let from = skip.min(part.len());
            let to = part.len().min(from.saturating_add(most));
            skip -= from;
            most -= to - from;
            &part[from..to]
        })
    }

    fn is_written(&self) -> bool {
        self.written == self.parts().map(<[u8]>::len).iter().sum::<usize>()
    }

    /// Writes at most so many bytes, and says how many.
    fn poll_write(&mut self, socket: &Socket, most: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(socket.stream.poll_write_ready(context))?;
            match socket.stream.try_write_vectored(&self.rest(most).map(IoSlice::new)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_its_size_in_hexadecimal() {
        for size in [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, 1_048_577] {
            let piece = Piece::chunk(vec![b'x'; size].into());
            let [head, bytes, tail] = piece.parts();
            assert_eq!((head, bytes.len(), tail), (format!("{size:x}\r\n").as_bytes(), size, LINE_END));
        }
        assert_eq!(Piece::plain(Bytes::new(), LAST_CHUNK).parts().concat(), LAST_CHUNK);
    }

    #[test]
    fn a_piece_is_written_in_parts_of_any_size() {
        for most in [1, 2, 5, 7, usize::MAX] {
            let (mut piece, mut seen) = (Piece::chunk("hello world".into()), Vec::new());
            while !piece.is_written() {
                let part = piece.rest(most).concat();
                assert!(!part.is_empty() && part.len() <= most);
                piece.written += part.len();
                seen.extend(part);
            }
            assert_eq!(seen, b"b\r\nhello world\r\n", "{most} bytes at a time");
        }
    }
}
