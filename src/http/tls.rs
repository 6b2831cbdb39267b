//! TLS: the certificate, which is read again when its files change, the handshake, and what is left of a connection then.
//!
//! Law: nothing of HTTP is read before the handshake, which has its own time. A certificate that cannot be read, or does
//! not belong to its key, refuses a start; later it leaves the one that was in use.
//!
//! A stream cannot leave for a socket of its own here, since its bytes have to be encrypted: it is written by the HTTP
//! dispatcher, as its body. Plain connections know nothing of any of this.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::ConnectionPermit;
use super::revocable::WriteCutoff;
use crate::blocking::blocking;

/// A client that has not finished its handshake by then has gone, or wants to be a burden.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path}: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0} has no certificate in it")]
    Empty(PathBuf),
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The chain and its key, PEM files of the operator's.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// Blocks.
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let unreadable = |path: &Path, reason: String| CertificateError::Unreadable { path: path.to_owned(), reason };
        let at_chain = |error: rustls::pki_types::pem::Error| unreadable(&self.certificate, error.to_string());
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|found| found.collect::<Result<_, _>>())
            .map_err(at_chain)?;
        if chain.is_empty() {
            return Err(CertificateError::Empty(self.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unreadable(&self.key, error.to_string()))?;
        let key = ring::sign::any_supported_type(&key).map_err(|error| unreadable(&self.key, error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(CertificateError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() })
            }
            Err(error) => Err(unreadable(&self.certificate, error.to_string())),
        }
    }

    /// What differs when one of them has been replaced.
    fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        })
    }
}

/// The certificate that new connections are shown.
#[derive(Debug)]
pub struct Certificates {
    files: Files,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificates {
    /// Blocks.
    pub fn load(files: Files) -> Result<Arc<Self>, CertificateError> {
        let current = RwLock::new(Arc::new(files.read()?));
        Ok(Arc::new(Self { files, current }))
    }

    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again whenever they have changed, for as long as the service runs.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.files.stamp();
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = self.clone();
            seen = blocking(move || Ok(looked.renew(seen))).await.unwrap_or(seen);
        }
    }

    /// Blocks. While one file has been replaced and the other has not, they do not match: they are read again at the next
    /// look.
    fn renew(&self, seen: [Option<(SystemTime, u64)>; 2]) -> [Option<(SystemTime, u64)>; 2] {
        let found = self.files.stamp();
        if found == seen {
            return seen;
        }
        match self.files.read() {
            Ok(certified) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!(certificate = %self.files.certificate.display(), "certificate renewed");
                found
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate cannot be used; the former stays in use");
                seen
            }
        }
    }
}

/// A connection that has been accepted; encrypted from here on. In the extensions of its requests there is [`Encrypted`].
pub struct TlsConnection {
    stream: TlsStream<TcpStream>,
    encrypted: Encrypted,
    _permit: ConnectionPermit,
}

/// Of a request that came over TLS to this process.
#[derive(Clone, Default)]
pub struct Encrypted {
    /// What ends the connection while it waits for its client.
    pub cutoff: WriteCutoff,
}

impl TlsConnection {
    pub async fn accept(acceptor: &TlsAcceptor, stream: TcpStream, permit: ConnectionPermit) -> io::Result<Self> {
        let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Self { stream, encrypted: Encrypted::default(), _permit: permit })
    }

    pub fn encrypted(&self) -> Encrypted {
        self.encrypted.clone()
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.get_ref().0.peer_addr().ok()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.encrypted.cutoff.bound(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.encrypted.cutoff.bound(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
