//! How a provider is asked: over the one way out that the service has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderName;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::outbound::{self, Outgoing};

/// One exchange, from the look-up of the host to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A document of a provider has a few KiB.
const MAX_BODY: usize = 1 << 20;

/// There was no answer that could be read.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    #[error("the answer has more than {MAX_BODY} bytes")]
    TooLarge,
    #[error("{0}")]
    Transport(String),
}

pub struct Client {
    tls: Arc<rustls::ClientConfig>,
}

impl Client {
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let asked = tokio::time::timeout(TIMEOUT, self.ask(request));
        asked.await.map_err(|_| Unanswered::Timeout)?
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let (head, body) = request.into_parts();
        let headers = head.headers.into_iter();
        let headers = headers.filter_map(|(name, value)| Some((name?, value))).collect::<Vec<(HeaderName, _)>>();
        let outgoing = Outgoing { method: head.method, url: head.uri.to_string(), headers, body: body.into() };
        let mut answer = outbound::send(&self.tls, &outgoing).await.map_err(Unanswered::Transport)?;
        // Whatever its body says, it is for later.
        if answer.status.is_server_error() {
            return Err(Unanswered::Transport(format!("it answers {}", answer.status)));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await {
            body.extend_from_slice(&chunk.map_err(Unanswered::Transport)?);
            if body.len() > MAX_BODY {
                return Err(Unanswered::TooLarge);
            }
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Client {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
