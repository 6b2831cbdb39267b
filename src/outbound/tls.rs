//! Whom the service trusts at the other end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Certificates to trust that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("certificates {path}: {reason}")]
pub struct CertificatesError {
    path: PathBuf,
    reason: String,
}

/// The public roots, and those of a file besides.
pub fn trusting(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, CertificatesError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca_file {
        trust(&mut roots, file).map_err(|reason| CertificatesError { path: file.to_owned(), reason })?;
    }
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

fn trust(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let mut count = 0;
    for certificate in certificates {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("there is none in the file".to_owned()) } else { Ok(()) }
}
