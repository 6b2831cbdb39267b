//! The HTTP server: its routes, its limits, and how each connection behaves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory as _, fn_factory, into_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::rt::{self, net::TcpStream};
use actix_web::{App, web};

use super::conditional::conditions;
use super::connection::{Connection, Connections, Http};
use super::contract::Document;
use super::cors::cors;
use super::middleware::{LoopbackCheck, configure_errors, loopback_only, request_context};
use super::ports::Maintenance;
use super::push::hand_over;
use super::requests::{RequestMeters, count_request};
use super::route;
use super::sign_in::sign_in;
use super::upgrade::without_upgrade;
use crate::access::Access;
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
    pub connections: Connections,
}

/// Binds the address and prepares the server.
pub fn bind(registry: RegistryHandle, maintenance: Arc<dyn Maintenance>, access: Access) -> io::Result<HttpEnd> {
    let settings = registry.settings().clone();
    let listener = TcpListener::bind(settings.server.bind)?;
    socket2::SockRef::from(&listener).set_tcp_mss(SEGMENT)?;
    let address = listener.local_addr()?;
    let stall = settings.stream.sse_stall_timeout;
    let registry = web::Data::new(registry);
    let maintenance = web::Data::from(maintenance);
    let access = web::Data::new(access);
    let origins = settings.server.cors_origins.clone();
    let check = web::Data::new(LoopbackCheck { is_on: !access.is_on(), origins: origins.clone() });
    let contract = web::Data::new(Document::of(&route::all::describe()));
    let connections = Connections::default();
    let (counted, requests) = (connections.clone(), web::Data::new(RequestMeters::default()));
    let server = Server::build()
        .max_concurrent_connections(MAX_CONNECTIONS)
        .backlog(4096)
        .disable_signals()
        .listen("http", listener, move || {
            let app = App::new()
                .app_data(registry.clone())
                .app_data(maintenance.clone())
                .app_data(requests.clone())
                .app_data(web::Data::new(counted.clone()))
                .app_data(access.clone())
                .app_data(check.clone())
                .app_data(contract.clone())
                .app_data(web::PayloadConfig::new(MAX_BODY))
                // A trailing slash changes nothing.
                .wrap(NormalizePath::trim())
                .wrap(from_fn(without_upgrade))
                .wrap(from_fn(conditions))
                .wrap(from_fn(sign_in))
                .wrap(from_fn(loopback_only))
                .wrap(cors(&origins))
                .wrap(from_fn(request_context))
                .wrap(from_fn(count_request))
                .wrap(from_fn(hand_over))
                .configure(configure_errors)
                .configure(route::all::mount);
            let http = HttpService::build()
                // With half-closed connections allowed, a reader that has gone away silently would be kept for ever.
                .h1_allow_half_closed(false)
                .h1_write_buffer_size(WRITE_BUFFER)
                .client_request_timeout(Duration::from_secs(30))
                .client_disconnect_timeout(Duration::from_secs(1))
                .on_connect_ext(|connection: &Connection, extensions| {
                    extensions.insert(connection.handle());
                })
                .h1(map_config(app, |()| AppConfig::default()));
            let counted = counted.clone();
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
        })?
        .run();
    Ok(HttpEnd { server, address, connections })
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
    connection.ok_or_else(|| io::Error::other("too many connections"))
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
