//! A connection for one request, over HTTP/1.1.
//!
//! Invariant: waiting for the answer drives the connection, and dropping the answer closes it: no task is spawned and
//! nothing is pooled, which would only save a handshake out of seconds. The head of an answer is bounded; interim answers
//! (1xx) are skipped.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The head of an answer, and what is read at once of its body.
const BUFFER_BYTES: usize = 128 << 10;
const MAX_HEADERS: usize = 200;
const AGENT: &str = concat!("ade/", env!("CARGO_PKG_VERSION"));

/// A request, ready to be sent.
#[derive(Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Outgoing {
    /// With headers as they came.
    pub fn new<'a>(
        method: &str,
        url: String,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: Bytes,
    ) -> Result<Self, String> {
        let header = |(name, value): (&str, &[u8])| {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            Ok((name, HeaderValue::from_bytes(value).map_err(|error| error.to_string())?))
        };
        let method = method.parse().map_err(|error| format!("invalid method: {error}"))?;
        Ok(Self { method, url, headers: headers.map(header).collect::<Result<_, String>>()?, body })
    }
}

/// An answer, and the connection on which the rest of it comes.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    driver: Driver,
    /// While it exists, hyper keeps the connection open.
    _sender: http1::SendRequest<Whole>,
}

/// The body of a request, which is there before it is sent.
struct Whole(Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.get_mut().0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// None when the connection has ended.
type Driver = Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Sends a request, and waits for the head of its answer. Errors are described in text.
pub async fn send(tls: &Arc<rustls::ClientConfig>, outgoing: &Outgoing) -> Result<Answer, String> {
    send_within(tls, outgoing, CONNECT_TIMEOUT).await
}

/// As [`send`], to somebody who is near.
pub async fn send_within(
    tls: &Arc<rustls::ClientConfig>,
    outgoing: &Outgoing,
    connecting: Duration,
) -> Result<Answer, String> {
    let url: Uri = outgoing.url.parse().map_err(|error| format!("invalid address: {error}"))?;
    let connected = tokio::time::timeout(connecting, connect(tls, &url)).await;
    let io = connected.map_err(|_| format!("not connected within {connecting:?}"))??;
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(BUFFER_BYTES)
        .max_headers(MAX_HEADERS)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|error| with_causes(&error))?;
    let mut driver: Driver = Some(Box::pin(connection));
    let answer = beside(&mut driver, sender.send_request(request(&url, outgoing)?)).await;
    let (head, body) = answer.map_err(|error| with_causes(&error))?.into_parts();
    Ok(Answer { status: head.status, headers: head.headers, body, driver, _sender: sender })
}

impl Answer {
    /// More of the body; none at its end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, String>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        drive(&mut self.driver, context);
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(with_causes(&error)))),
                // A frame without data is a trailer.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

/// Lets a connection go on; its error is reported by whoever waits for the answer.
fn drive(driver: &mut Driver, context: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
        *driver = None;
    }
}

/// Waits for something that comes over a connection, and drives the connection meanwhile.
async fn beside<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        drive(driver, context);
        work.as_mut().poll(context)
    })
    .await
}

fn request(url: &Uri, outgoing: &Outgoing) -> Result<Request<Whole>, String> {
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut request = Request::builder()
        .method(outgoing.method.clone())
        .uri(url.path_and_query().map_or("/", |target| target.as_str()))
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in &outgoing.headers {
        request = request.header(name, value);
    }
    request.body(Whole(outgoing.body.clone())).map_err(|error| error.to_string())
}

async fn connect(tls: &Arc<rustls::ClientConfig>, url: &Uri) -> Result<Box<dyn Io>, String> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_secure = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await.map_err(|error| with_causes(&error))?;
    socket.set_nodelay(true).map_err(|error| with_causes(&error))?;
    if !is_secure {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| with_causes(&error))?;
    let secured = TlsConnector::from(tls.clone()).connect(name, socket).await;
    Ok(Box::new(secured.map_err(|error| with_causes(&error))?))
}

/// An error with its causes, without repetitions.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
