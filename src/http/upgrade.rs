//! Requests that ask for another protocol. There is none here, so they are answered as if they had not asked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use bytes::Bytes;
use futures_util::Stream;

/// The HTTP dispatcher takes whatever follows `Upgrade: websocket` for the other protocol, to the end of the
/// connection. Who reads a body would wait for that end; it is given the body that the head announces.
pub async fn without_upgrade<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let headers = request.headers();
    if headers.contains_key(header::UPGRADE) && !headers.contains_key(header::TRANSFER_ENCODING) {
        let left = announced(headers);
        let payload = request.take_payload();
        request.set_payload(Payload::Stream { payload: Box::pin(Announced { payload, left }) });
    }
    next.call(request).await
}

fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// So much of a payload.
struct Announced {
    payload: Payload,
    left: u64,
}

impl Stream for Announced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        if body.left == 0 {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut body.payload).poll_next(context)) {
            Some(Ok(mut bytes)) => {
                bytes.truncate(usize::try_from(body.left).unwrap_or(usize::MAX));
                body.left -= bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
        }
    }
}
