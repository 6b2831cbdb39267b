//! A bucket of S3, by the crate `object_store`, driven by a small runtime of its own.
//!
//! Invariant: every step (a request, a piece of a body) has its bound, and a caller that is told to stop stops within a
//! moment, whatever the network does.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, MultipartUpload, ObjectStoreExt as _, PutPayload, RetryConfig};
use secrecy::ExposeSecret as _;
use tokio::runtime::{Builder, Runtime};

use super::place::Bucket;
use super::store::{Content, ObjectError, ObjectStore, PART, Stop, part_bytes};
use super::transport::Transport;
use crate::outbound::CertificatesError;
use crate::outbound::tls::trusting;

/// Why there is no client of a bucket.
#[derive(Debug, thiserror::Error)]
pub enum OpenBucketError {
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error("the object store cannot be used: {0}")]
    Settings(String),
    #[error("cannot start the thread of the object store: {0}")]
    Thread(#[from] io::Error),
}

/// A request with all that is tried again of it.
const STEP: Duration = Duration::from_secs(150);
/// The next piece of an object.
const IDLE: Duration = Duration::from_secs(30);
/// How soon a caller that is told to stop stops.
const LOOK: Duration = Duration::from_millis(50);
/// What is told of an error, at most: stores answer with pages.
const MOST_TOLD: usize = 400;

pub(super) struct BucketStore {
    store: AmazonS3,
    prefix: String,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

impl BucketStore {
    pub fn open(bucket: &Bucket) -> Result<Self, OpenBucketError> {
        let tls = trusting(bucket.ca_file.as_deref())?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(bucket.key_id.expose_secret())
            .with_secret_access_key(bucket.secret.expose_secret())
            .with_retry(retries())
            .with_http_connector(Transport { tls });
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(|error| OpenBucketError::Settings(told(&error)))?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("objects").enable_all().build()?;
        Ok(Self { store, prefix: bucket.prefix.clone(), runtime: Some(runtime) })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    /// Waits on this thread, for so long at most.
    fn wait<T>(
        &self,
        limit: Duration,
        stop: Stop,
        step: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ObjectError> {
        let Some(runtime) = &self.runtime else { return Err(ObjectError::Stopped) };
        runtime.handle().block_on(async {
            tokio::select! {
                done = tokio::time::timeout(limit, step) => match done {
                    Ok(done) => done.map_err(of_store),
                    Err(_) => Err(ObjectError::Unavailable(format!("no answer within {limit:?}"))),
                },
                () = asked_to(stop) => Err(ObjectError::Stopped),
            }
        })
    }

    fn put_parts(&self, upload: &mut dyn MultipartUpload, content: Content, stop: Stop) -> Result<(), ObjectError> {
        let (mut left, part) = (content.bytes, part_bytes(content.bytes));
        while left > 0 {
            let bytes = (content.read)(left.min(part) as usize)?;
            left = left.saturating_sub(bytes.len() as u64);
            self.wait(STEP, stop, upload.put_part(PutPayload::from_bytes(bytes)))?;
        }
        self.wait(STEP, stop, upload.complete()).map(drop)
    }
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(20) }
}

async fn asked_to(stop: Stop<'_>) {
    while !stop() {
        tokio::time::sleep(LOOK).await;
    }
}

/// A server answers 404 to whatever it does not know, be it the bucket or the address: an object is missing only where the
/// answer says so.
fn of_store(error: object_store::Error) -> ObjectError {
    let text = error.to_string();
    match error {
        object_store::Error::NotFound { .. } if text.contains("NoSuchKey") => ObjectError::NotFound,
        error if is_refusal(&error, &text) => ObjectError::Refused(told(&error)),
        error => ObjectError::Unavailable(told(&error)),
    }
}

/// Whether it has answered that it does not do this. The crate gives some answers as nothing but their text.
fn is_refusal(error: &object_store::Error, text: &str) -> bool {
    match error {
        object_store::Error::Generic { .. } => match status(text) {
            Some(408 | 429) => false,
            Some(status) => status < 500,
            None => text.contains("DeleteObjects request failed for key") || text.contains("Received redirect"),
        },
        object_store::Error::JoinError { .. } => false,
        _ => true,
    }
}

fn status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("non-2xx status code: ")?;
    after.get(..3)?.parse().ok()
}

fn told(error: &object_store::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_TOLD).collect()
}

impl ObjectStore for BucketStore {
    fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        let path = self.path(name);
        if content.bytes <= PART {
            let bytes = (content.read)(content.bytes as usize)?;
            return self.wait(STEP, stop, self.store.put(&path, PutPayload::from_bytes(bytes))).map(drop);
        }
        let mut upload = self.wait(STEP, stop, self.store.put_multipart(&path))?;
        let put = self.put_parts(&mut *upload, content, stop);
        if put.is_err() {
            // Parts that nobody completes cost room until a rule of the bucket removes them.
            let _ = self.wait(LOOK * 20, &|| false, upload.abort());
        }
        put
    }

    fn get(&self, name: &str, write: &mut dyn FnMut(&[u8]) -> io::Result<()>, stop: Stop) -> Result<(), ObjectError> {
        let path = self.path(name);
        let mut pieces = self.wait(STEP, stop, self.store.get(&path))?.into_stream();
        while let Some(piece) = self.wait(IDLE, stop, async { Ok(pieces.next().await) })? {
            write(&piece.map_err(of_store)?)?;
        }
        Ok(())
    }

    fn size(&self, name: &str, stop: Stop) -> Result<u64, ObjectError> {
        let path = self.path(name);
        match self.wait(STEP, stop, self.store.head(&path)) {
            Ok(found) => Ok(found.size),
            // The answer to HEAD has no body that would say what is missing.
            Err(ObjectError::Refused(_) | ObjectError::NotFound) => {
                Ok(self.wait(STEP, stop, self.store.get(&path))?.meta.size)
            }
            Err(error) => Err(error),
        }
    }

    fn delete(&self, name: &str, stop: Stop) -> Result<(), ObjectError> {
        let path = self.path(name);
        match self.wait(STEP, stop, self.store.delete(&path)) {
            // To delete what is not there is no error: so it is the bucket that is not there.
            Err(ObjectError::NotFound) => Err(ObjectError::Refused("what is to be deleted from is not there".into())),
            deleted => deleted,
        }
    }
}

impl Drop for BucketStore {
    /// Without waiting: this may be a thread that must not.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn answer(connection: TcpStream, status: &str, body: &str) -> io::Result<()> {
        let (mut reader, mut line, mut bytes) = (BufReader::new(connection.try_clone()?), String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            let length = line.to_ascii_lowercase().strip_prefix("content-length:").map(|text| text.trim().parse());
            bytes = length.and_then(Result::ok).unwrap_or(bytes);
            line.clear();
        }
        reader.take(bytes).read_to_end(&mut Vec::new())?;
        let length = body.len();
        write!(&connection, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    /// A bucket of a server that gives every request this answer.
    fn answering(status: &'static str, body: &'static str) -> BucketStore {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|connection| drop(answer(connection, status, body)));
        });
        let (name, prefix, region) = ("b".to_owned(), "p".to_owned(), "us-east-1".to_owned());
        let (key_id, secret) = ("key".into(), "secret".into());
        BucketStore::open(&Bucket { name, prefix, endpoint, region, key_id, secret, ca_file: None }).unwrap()
    }

    const GO_ON: Stop<'static> = &|| false;

    fn get(store: &BucketStore) -> Result<(), ObjectError> {
        store.get("x", &mut |_| Ok(()), GO_ON)
    }

    #[test]
    fn only_an_object_is_missing_and_never_the_bucket() {
        for body in ["<Error><Code>NoSuchBucket</Code></Error>", "<html>not here</html>", ""] {
            let store = answering("404 Not Found", body);
            assert!(matches!(get(&store), Err(ObjectError::Refused(_))), "{body}");
            assert!(matches!(store.delete("x", GO_ON), Err(ObjectError::Refused(_))), "{body}");
        }
        let store = answering("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
        assert!(matches!(get(&store), Err(ObjectError::NotFound)));
        assert!(matches!(store.delete("x", GO_ON), Err(ObjectError::Refused(_))));
    }

    #[test]
    fn who_refuses_answers_and_who_is_overloaded_does_not() {
        for status in ["403 Forbidden", "400 Bad Request", "401 Unauthorized"] {
            let store = answering(status, "<Error><Code>AccessDenied</Code></Error>");
            assert!(matches!(get(&store), Err(ObjectError::Refused(_))), "{status}");
            assert!(matches!(store.size("x", GO_ON), Err(ObjectError::Refused(_))), "{status}");
        }
        for status in ["503 Service Unavailable", "429 Too Many Requests"] {
            let answered = get(&answering(status, "<Error><Code>SlowDown</Code></Error>"));
            assert!(matches!(answered, Err(ObjectError::Unavailable(_))), "{status}: {answered:?}");
        }
        let failed =
            "<DeleteResult><Error><Key>p/x</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        let deleted = answering("200 OK", failed).delete("x", GO_ON);
        assert!(matches!(deleted, Err(ObjectError::Refused(_))), "{deleted:?}");
    }
}
