//! How slowly a body may come.
//!
//! Law: a body that comes more slowly than [`RATE`], after a time that is free, is given up; so a client cannot keep a request
//! for longer than its size allows, however it spreads its bytes. Heads have a time of their own, which the dispatcher
//! keeps.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::problem::{Code, Problem};

/// Bytes per second. A modem is faster.
const RATE: u64 = 4 << 10;

/// The time of a request's head, and what a body may take besides that of its bytes.
#[derive(Debug, Clone, Copy)]
pub struct RequestTime(pub Duration);

/// Gives up a body that is too slow: 408.
pub async fn bound_time(
    time: web::Data<RequestTime>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let body = at_pace(&mut request, **time);
    let answer = next.call(request).await;
    if !body.is_some_and(|body| body.is_late()) {
        return Ok(answer?.map_into_boxed_body());
    }
    let late = Problem::new(Code::RequestTimeout, "the body came too slowly");
    match answer {
        Ok(response) => Ok(response.into_response(HttpResponse::from_error(late))),
        Err(_) => Err(late.into()),
    }
}

/// From here on the body of a request comes at a pace, or is given up; none of a request without one.
pub fn at_pace(request: &mut ServiceRequest, time: RequestTime) -> Option<Rc<Incoming>> {
    if !has_body(request.headers()) {
        return None;
    }
    let body = Rc::new(Incoming { payload: RefCell::new(request.take_payload()), state: Cell::new(State::Open) });
    let pace = Pace { begun: Instant::now(), free: time.0, received: 0 };
    let timer = Box::pin(sleep_until(pace.deadline()));
    request.set_payload(Payload::Stream { payload: Box::pin(Paced { body: body.clone(), pace, timer }) });
    request.extensions_mut().insert(body.clone());
    Some(body)
}

/// Holds what has not been read of a request until its answer has gone. A chunked body that nobody holds any more the
/// dispatcher would go on reading for as long as it lasts; of one that is held it closes the connection. It has to be
/// outside of all that gives answers another body.
pub async fn close_unread(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let unread = response.request().extensions().get::<Rc<Incoming>>().cloned();
    Ok(match unread.filter(|body| body.state.get() != State::Ended) {
        Some(body) => response.map_body(|_, answer| BoxBody::new(Unread { answer, _body: body })),
        None => response,
    })
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// When a body is late.
#[derive(Debug, Clone, Copy)]
struct Pace {
    begun: Instant,
    free: Duration,
    received: u64,
}

impl Pace {
    fn deadline(&self) -> Instant {
        self.begun + self.free + Duration::from_millis(self.received.saturating_mul(1000) / RATE)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Late,
}

/// The body of a request.
pub struct Incoming {
    payload: RefCell<Payload>,
    state: Cell<State>,
}

impl Incoming {
    /// It was given up.
    pub fn is_late(&self) -> bool {
        self.state.get() == State::Late
    }
}

/// What the handler reads of it.
struct Paced {
    body: Rc<Incoming>,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let paced = self.get_mut();
        let polled = Pin::new(&mut *paced.body.payload.borrow_mut()).poll_next(context);
        match polled {
            Poll::Ready(Some(Ok(bytes))) => {
                paced.pace.received += bytes.len() as u64;
                paced.timer.as_mut().reset(paced.pace.deadline());
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(None) => {
                paced.body.state.set(State::Ended);
                Poll::Ready(None)
            }
            Poll::Pending if paced.timer.as_mut().poll(context).is_ready() => {
                paced.body.state.set(State::Late);
                Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
            polled => polled,
        }
    }
}

/// An answer to a request that has not been read to its end.
struct Unread {
    answer: BoxBody,
    _body: Rc<Incoming>,
}

impl MessageBody for Unread {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().answer).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_gives_time_for_the_next_and_no_more() {
        let begun = Instant::now();
        let at = |received| Pace { begun, free: Duration::from_secs(30), received }.deadline() - begun;
        assert_eq!(at(0), Duration::from_secs(30));
        assert_eq!(at(4 << 10), Duration::from_secs(31));
        assert_eq!(at(25 << 20), Duration::from_secs(30 + 6400));
        // One byte every ten seconds gains nothing.
        assert_eq!(at(3).as_secs(), 30);
    }
}
