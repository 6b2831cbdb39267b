//! The HTTP server: its routes, its limits, and how each connection behaves.
//!
//! With a certificate the address speaks TLS alone. Commands on this machine then have a plain address of their own, on
//! loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Request};
use actix_server::ServerBuilder;
use actix_service::{Service, ServiceFactory, fn_factory, into_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::rt::{self, net::TcpStream};
use actix_web::{App, Error, web};
use tokio_rustls::TlsAcceptor;

use super::audited::{audited, write_entry};
use super::conditional::conditions;
use super::connection::{Connection, Connections, Http};
use super::contract::{Document, SharedDocument};
use super::cors::cors;
use super::forward::{Peers, forward};
use super::limits::{RateLimit, limit_rate};
use super::middleware::{LoopbackCheck, configure_errors, loopback_only, request_context};
use super::pace::{RequestTime, bound_time, close_unread};
use super::peer::{TrustedProxies, find_client};
use super::ports::Maintenance;
use super::push::hand_over;
use super::requests::{RequestMeters, count_request};
use super::route;
use super::route::oidc::Provider;
use super::sign_in::sign_in;
use super::target::one_host;
use super::tls::{CertificateError, Certificates, Files, TlsConnection};
use super::upgrade::without_upgrade;
use crate::access::Access;
use crate::audit::AuditLog;
use crate::oidc::Oidc;
use crate::outbound::CertificatesError;
use crate::registry::RegistryHandle;

/// Largest segment of a connection. On loopback it would be twice what a connection's buffer takes: the kernel would
/// send one piece, wait for a delayed acknowledgement, and send 25 pieces a second. Networks have smaller ones anyway.
const SEGMENT: u32 = 16 << 10;
/// A body is asked for more only when less than this is waiting to be sent.
const WRITE_BUFFER: usize = 4 << 10;
/// Requests and streams together.
const MAX_CONNECTIONS: usize = 50_000;
/// JSON bodies; uploads have limits of their own.
const MAX_BODY: usize = 1 << 20;

/// A bound server that is not yet running.
pub struct HttpEnd {
    pub server: Server,
    pub address: SocketAddr,
    /// Of the same interface without TLS, for programs on this machine; `address` itself when that has none.
    pub local: SocketAddr,
    pub connections: Connections,
    /// To be watched; none without TLS.
    pub certificates: Option<Arc<Certificates>>,
}

/// Why nothing is bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} cannot be bound: {source}")]
    Address { address: SocketAddr, source: io::Error },
    #[error("ADE_TLS_CERT, ADE_TLS_KEY: {0}")]
    Certificate(#[from] CertificateError),
    #[error("ADE_CLUSTER_CA_FILE: {0}")]
    Peers(#[from] CertificatesError),
}

static CONTRACT: LazyLock<Document> = LazyLock::new(|| Document::of(&route::all::describe()));

/// What the handlers of all threads share.
#[derive(Clone)]
struct Shared {
    registry: web::Data<RegistryHandle>,
    maintenance: web::Data<dyn Maintenance>,
    requests: web::Data<RequestMeters>,
    access: web::Data<Access>,
    check: web::Data<LoopbackCheck>,
    contract: web::Data<SharedDocument>,
    origins: Vec<String>,
    proxies: web::Data<TrustedProxies>,
    time: RequestTime,
    rate: web::Data<Option<RateLimit>>,
    audit: web::Data<AuditLog>,
    oidc: Provider,
    peers: web::Data<Option<Peers>>,
    connections: Connections,
}

/// Binds the address and prepares the server.
pub fn bind(
    registry: RegistryHandle,
    maintenance: Arc<dyn Maintenance>,
    access: Access,
    audit: AuditLog,
    oidc: Option<Oidc>,
) -> Result<HttpEnd, BindError> {
    let settings = registry.settings().clone();
    let connections = Connections::default();
    let origins = settings.server.cors_origins.clone();
    let check = LoopbackCheck { is_on: !access.is_on(), origins: origins.clone() };
    let peers = Peers::of(registry.nodes())?;
    let shared = Shared {
        registry: web::Data::new(registry),
        maintenance: web::Data::from(maintenance),
        requests: web::Data::new(RequestMeters::default()),
        access: web::Data::new(access),
        check: web::Data::new(check),
        contract: web::Data::new(&CONTRACT),
        origins,
        proxies: web::Data::new(TrustedProxies(settings.server.trusted_proxies.clone())),
        time: RequestTime(settings.server.request_timeout),
        audit: web::Data::new(audit),
        oidc: web::Data::new(oidc),
        peers: web::Data::new(peers),
        rate: web::Data::new(settings.server.rate_limit.map(RateLimit::per_second)),
        connections: connections.clone(),
    };
    let files = settings.server.tls.as_ref();
    let files = files.map(|tls| Files { certificate: tls.certificate.clone(), key: tls.key.clone() });
    let certificates = files.map(Certificates::load).transpose()?;
    let stall = settings.stream.sse_stall_timeout;
    let (listener, address) = listen(settings.server.bind)?;
    let builder = Server::build().max_concurrent_connections(MAX_CONNECTIONS).backlog(4096).disable_signals();
    let unusable = |source| BindError::Address { address, source };
    let (builder, local) = match &certificates {
        None => (listen_plain(builder, listener, shared, stall).map_err(unusable)?, address),
        Some(certificates) => {
            let acceptor = certificates.acceptor()?;
            let builder = listen_tls(builder, listener, shared.clone(), stall, acceptor).map_err(unusable)?;
            let (listener, local) = listen((Ipv4Addr::LOCALHOST, 0).into())?;
            (listen_plain(builder, listener, shared, stall).map_err(unusable)?, local)
        }
    };
    Ok(HttpEnd { server: builder.run(), address, local, connections, certificates })
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let bound = || {
        let listener = TcpListener::bind(address)?;
        socket2::SockRef::from(&listener).set_tcp_mss(SEGMENT)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source| BindError::Address { address, source })
}

fn listen_plain(
    builder: ServerBuilder,
    listener: TcpListener,
    shared: Shared,
    stall: Duration,
) -> io::Result<ServerBuilder> {
    builder.listen("http", listener, move || {
        let http = http_service(shared.time)
            .on_connect_ext(|connection: &Connection, extensions| {
                extensions.insert(connection.handle());
            })
            .h1(map_config(application(&shared), |()| AppConfig::default()));
        let counted = shared.connections.clone();
        fn_factory(move || {
            let (made, counted) = (http.new_service(()), counted.clone());
            async move {
                let serve = server_of(made.await?);
                let http = Http::new({
                    let serve = serve.clone();
                    move |connection| drop(rt::spawn(serve(connection)))
                });
                Ok::<_, ()>(into_service(move |stream: TcpStream| {
                    let accepted = accept(stream, &counted, stall, http.clone()).map(&serve);
                    async move { accepted.map_err(DispatchError::Io)?.await }
                }))
            }
        })
    })
}

fn listen_tls(
    builder: ServerBuilder,
    listener: TcpListener,
    shared: Shared,
    stall: Duration,
    acceptor: TlsAcceptor,
) -> io::Result<ServerBuilder> {
    builder.listen("https", listener, move || {
        let http = http_service(shared.time)
            .on_connect_ext(|connection: &TlsConnection, extensions| {
                extensions.insert(connection.encrypted());
            })
            .h1(map_config(application(&shared), |()| AppConfig::default()));
        let (counted, acceptor) = (shared.connections.clone(), acceptor.clone());
        fn_factory(move || {
            let (made, counted, acceptor) = (http.new_service(()), counted.clone(), acceptor.clone());
            async move {
                let http = Rc::new(made.await?);
                Ok::<_, ()>(into_service(move |stream: TcpStream| {
                    let (http, acceptor, permit) = (http.clone(), acceptor.clone(), counted.enter(MAX_CONNECTIONS));
                    async move {
                        tune(&stream, stream.peer_addr().ok(), stall);
                        let permit = permit.ok_or_else(too_many).map_err(DispatchError::Io)?;
                        let accepted = TlsConnection::accept(&acceptor, stream, permit).await;
                        let connection = accepted.map_err(DispatchError::Io)?;
                        let peer = connection.peer();
                        http.call((connection, peer)).await
                    }
                }))
            }
        })
    })
}

fn http_service<T, S>(time: RequestTime) -> HttpServiceBuilder<T, S>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<actix_http::Response<BoxBody>> + 'static,
    S::InitError: std::fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    HttpServiceBuilder::default()
        // With half-closed connections allowed, a reader that has gone away silently would be kept for ever.
        .h1_allow_half_closed(false)
        .h1_write_buffer_size(WRITE_BUFFER)
        .client_request_timeout(time.0)
        .client_disconnect_timeout(Duration::from_secs(1))
}

/// The routes, and what every request passes.
fn application(
    shared: &Shared,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>
    + use<>,
> {
    App::new()
        .app_data(shared.registry.clone())
        .app_data(shared.maintenance.clone())
        .app_data(shared.requests.clone())
        .app_data(shared.access.clone())
        .app_data(shared.check.clone())
        .app_data(shared.contract.clone())
        .app_data(shared.proxies.clone())
        .app_data(web::Data::new(shared.time))
        .app_data(shared.rate.clone())
        .app_data(shared.audit.clone())
        .app_data(shared.oidc.clone())
        .app_data(shared.peers.clone())
        .app_data(web::Data::new(shared.connections.clone()))
        .app_data(web::PayloadConfig::new(MAX_BODY))
        // A trailing slash changes nothing.
        .wrap(NormalizePath::trim())
        .wrap(from_fn(bound_time))
        .wrap(from_fn(without_upgrade))
        .wrap(from_fn(conditions))
        .wrap(from_fn(audited))
        .wrap(from_fn(forward))
        .wrap(from_fn(limit_rate))
        .wrap(from_fn(sign_in))
        .wrap(from_fn(write_entry))
        .wrap(from_fn(one_host))
        .wrap(from_fn(loopback_only))
        .wrap(cors(&shared.origins))
        .wrap(from_fn(request_context))
        .wrap(from_fn(count_request))
        .wrap(from_fn(close_unread))
        .wrap(from_fn(find_client))
        .wrap(from_fn(hand_over))
        .configure(configure_errors)
        .configure(route::console::mount)
        .configure(route::all::mount)
}

fn too_many() -> io::Error {
    io::Error::other("too many connections")
}

/// Serves the requests of a connection, which may come back after a stream.
fn server_of<S>(http: S) -> impl Fn(Connection) -> S::Future + Clone
where
    S: Service<(Connection, Option<SocketAddr>)>,
{
    let http = Rc::new(http);
    move |connection: Connection| {
        let peer = connection.peer();
        http.call((connection, peer))
    }
}

fn accept(stream: TcpStream, connections: &Connections, stall: Duration, http: Http) -> io::Result<Connection> {
    tune(&stream, stream.peer_addr().ok(), stall);
    let connection = Connection::accept(stream, connections, MAX_CONNECTIONS, http);
    connection.ok_or_else(too_many)
}

/// A body is not asked for more while its socket takes nothing, so only the kernel can notice a stalled reader.
fn tune(stream: &TcpStream, peer: Option<SocketAddr>, stall: Duration) {
    let socket = socket2::SockRef::from(stream);
    let mut tuned = socket.set_tcp_nodelay(true).and(socket.set_tcp_user_timeout(Some(stall)));
    if peer.is_some_and(|peer| peer.ip().is_loopback()) {
        // Nothing is congested on this machine, and an algorithm that paces itself sets a timer with every send.
        tuned = tuned.and(socket.set_tcp_congestion(b"reno"));
    }
    if let Err(error) = tuned {
        tracing::debug!(error = %error, "connection could not be tuned");
    }
}
