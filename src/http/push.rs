//! Streams on a socket of their own.
//!
//! Law: a response whose length is not known leaves the HTTP machinery as soon as its head is on the way. What then
//! stands between an event and its readers is one small task each, which writes the bytes that they share; a reader
//! that waits costs neither buffers nor the state of a request, and one that does not read is asked for nothing.
//!
//! The rest of the response is chunked (RFC 9112, 7.1), and the connection is closed behind it. A body that fails
//! ends without its last chunk, so that nobody takes what there is for all of it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version, header};
use actix_web::middleware::Next;
use actix_web::rt;
use bytes::Bytes;

use super::connection::{Line, Socket, WIDE_BUFFER};

const LINE_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A client that has taken so much is given a larger kernel buffer: replays and downloads need not wait for each other's
/// every move then, and those who never read stay as cheap as they are.
const BRISK: usize = 1 << 20;

/// Lets responses of unknown length go on by themselves.
pub async fn hand_over(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let line = request.conn_data::<Line>().cloned();
    // Older clients know no chunks, and take what comes until the connection is closed.
    let chunks = request.version() == Version::HTTP_11;
    let mut response = next.call(request).await?.map_into_boxed_body();
    let has_length = response.headers().contains_key(header::CONTENT_LENGTH);
    if has_length || response.response().body().size() != BodySize::Stream {
        return Ok(response);
    }
    let head = response.response_mut().head_mut();
    head.no_chunking(!chunks);
    head.set_connection_type(ConnectionType::Close);
    match line.filter(|_| chunks) {
        Some(line) => Ok(response.map_body(|_, body| BoxBody::new(Handover { line, body: Some(body), asked: false }))),
        None => Ok(response),
    }
}

/// Stands for a body until the head has been written.
struct Handover {
    line: Line,
    body: Option<BoxBody>,
    asked: bool,
}

impl MessageBody for Handover {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    /// Never yields: at its end the machinery believes that all is said.
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let handover = self.get_mut();
        if !std::mem::replace(&mut handover.asked, true) {
            handover.line.begin_flush();
        }
        ready!(handover.line.poll_flushed(context));
        if let Some((socket, body)) = handover.line.take().zip(handover.body.take()) {
            rt::spawn(Push { socket, body, piece: None, over: false, taken: 0 });
        }
        Poll::Ready(None)
    }
}

/// Writes a body to its socket until either is at its end.
struct Push {
    socket: Socket,
    body: BoxBody,
    /// What is being written.
    piece: Option<Piece>,
    /// Nothing comes after `piece`.
    over: bool,
    /// Bytes that the socket has taken, as long as that is of interest.
    taken: usize,
}

impl Future for Push {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let push = self.get_mut();
        match push.poll_write(context) {
            // A client that has gone must not be kept until the next event.
            Poll::Pending => push.poll_gone(context),
            Poll::Ready(outcome) => {
                if let Err(error) = outcome {
                    tracing::debug!(error = %error, "stream was cut off");
                }
                Poll::Ready(())
            }
        }
    }
}

impl Push {
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(piece) = &mut self.piece {
                ready!(piece.poll_write(&self.socket, context))?;
                if piece.is_written() {
                    let length = piece.bytes.len();
                    self.piece = None;
                    self.earn(length);
                }
            } else if self.over {
                return Poll::Ready(Ok(()));
            } else {
                self.piece = ready!(self.poll_piece(context))?;
            }
        }
    }

    fn earn(&mut self, length: usize) {
        let before = self.taken;
        self.taken = before.saturating_add(length);
        if before < BRISK && self.taken >= BRISK {
            self.socket.buffer(WIDE_BUFFER);
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Piece>>> {
        match ready!(Pin::new(&mut self.body).poll_next(context)) {
            // An empty chunk would be the last.
            Some(Ok(bytes)) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Some(Ok(bytes)) => Poll::Ready(Ok(Some(Piece::chunk(bytes)))),
            Some(Err(error)) => Poll::Ready(Err(io::Error::other(error.to_string()))),
            None => {
                self.over = true;
                Poll::Ready(Ok(Some(Piece::last())))
            }
        }
    }

    /// Ready when the other side has hung up. What it says is of no interest any more.
    fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut ignored = [0; 256];
        loop {
            if ready!(self.socket.stream.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            match self.socket.stream.try_read(&mut ignored) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

/// A chunk on its way: its size and line end, its bytes, a line end.
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

    fn last() -> Self {
        Self { head: [0; 18], head_length: 0, bytes: Bytes::new(), tail: LAST_CHUNK, written: 0 }
    }

    fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..usize::from(self.head_length)], &self.bytes, self.tail]
    }

    fn is_written(&self) -> bool {
        self.written == self.parts().map(<[u8]>::len).iter().sum::<usize>()
    }

    fn poll_write(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(socket.stream.poll_write_ready(context))?;
            let mut slices = self.parts().map(IoSlice::new);
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, self.written);
            match socket.stream.try_write_vectored(rest) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count;
                    return Poll::Ready(Ok(()));
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
        assert_eq!(Piece::last().parts().concat(), LAST_CHUNK);
    }
}
