//! Requests of the S3 client, sent the one way that the service sends requests: `outbound`.
//!
//! Invariant: a head that does not come within [`HEAD`] is given up; of a body, whoever reads it bounds the time.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame};
use hyper::header;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};

use crate::outbound::{Answer, Outgoing, send};

/// How long the head of an answer is waited for, which of an upload comes after all of it was taken.
const HEAD: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Transport {
    pub tls: Arc<rustls::ClientConfig>,
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Transport {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Answering<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.answer(request))
    }
}

impl Transport {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        // The host is in the address.
        let headers = head.headers.iter().filter(|(name, _)| *name != header::HOST);
        let outgoing = Outgoing {
            method: head.method,
            url: head.uri.to_string(),
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: whole(body).await?,
        };
        let answer = tokio::time::timeout(HEAD, send(&self.tls, &outgoing)).await;
        let answer = answer.map_err(|_| failed(HttpErrorKind::Timeout, format!("no answer within {HEAD:?}")))?;
        let answer = answer.map_err(|why| failed(HttpErrorKind::Request, why))?;
        let mut response = Response::builder().status(answer.status);
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(&answer.headers);
        }
        let body = HttpResponseBody::new(AnswerBody(Mutex::new(answer)));
        response.body(body).map_err(|error| failed(HttpErrorKind::Decode, error.to_string()))
    }
}

fn failed(kind: HttpErrorKind, why: String) -> HttpError {
    HttpError::new(kind, io::Error::other(why))
}

/// A request is one piece in nearly every case, and then it is not copied.
async fn whole(mut body: HttpRequestBody) -> Result<Bytes, HttpError> {
    let mut pieces: Vec<Bytes> = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        pieces.extend(frame?.into_data().ok());
    }
    Ok(if pieces.len() > 1 { pieces.concat().into() } else { pieces.pop().unwrap_or_default() })
}

/// In a lock that nobody waits for: the client wants bodies that could be shared.
struct AnswerBody(Mutex<Answer>);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let answer = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let framed = |chunk: Result<Bytes, String>| {
            chunk.map(Frame::data).map_err(|why| failed(HttpErrorKind::Interrupted, why))
        };
        answer.poll_chunk(context).map(|chunk| chunk.map(framed))
    }
}
