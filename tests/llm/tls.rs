//! Over TLS, with an authority of one's own and without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ade::llm::{Endpoint, Fixed, Options, ProviderError, ProviderName, Providers, Reply, complete};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::support::{Dialect, KEY, limits, request, serve, streamed};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm/tls").join(name)
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// One call to a server whose certificate was made by the authority in `ca.pem`.
async fn call(host: &str, ca_file: Option<PathBuf>) -> Result<Reply, ProviderError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    actix_rt::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        if let Ok(socket) = acceptor().accept(socket).await {
            let script = streamed(&Dialect::Anthropic.stream(&["hello"]), 30);
            serve(socket, script, Arc::default(), Arc::new(Semaphore::new(0))).await;
        }
    });
    let endpoint = || Endpoint { base_url: format!("https://{host}:{port}"), key: Some(SecretString::from(KEY)) };
    let default = ProviderName::Anthropic;
    let openai_parameters = Fixed::default();
    let options =
        Options { default, anthropic: endpoint(), openai: endpoint(), openai_parameters, limits: limits(), ca_file };
    let provider = Providers::new(options).unwrap().get(None).unwrap();
    complete(provider.call(request()), |_| {}).await
}

#[actix_web::test]
async fn a_server_with_a_trusted_certificate_is_called() {
    for host in ["127.0.0.1", "localhost"] {
        let reply = call(host, Some(file("ca.pem"))).await;
        assert_eq!(reply.unwrap().content, "hello", "{host}");
    }
}

#[actix_web::test]
async fn a_server_with_an_untrusted_certificate_is_not_called() {
    let error = call("127.0.0.1", None).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "transport");
    assert!(error.to_string().contains("certificate"), "{error}");
}
