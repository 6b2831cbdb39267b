//! The HTTP server: its routes, its limits, and how each connection behaves.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App, HttpServer, web};
use tokio::sync::watch;

use super::middleware::{configure_errors, loopback_only, request_context};
use super::route;
use crate::registry::RegistryHandle;

/// What a connection's kernel buffer holds for a reader that does not read.
const SEND_BUFFER: usize = 32 << 10;
/// Largest segment of a connection. On loopback it would be twice what [`SEND_BUFFER`] takes: the kernel would send
/// one piece, wait for a delayed acknowledgement, and send 25 pieces a second. Networks have smaller ones anyway.
const SEGMENT: u32 = 16 << 10;
/// A body is asked for more only when less than this is waiting to be sent.
const WRITE_BUFFER: usize = 4 << 10;
/// JSON bodies; uploads have limits of their own.
const MAX_BODY: usize = 1 << 20;

/// A bound server that is not yet running.
pub struct HttpEnd {
    pub server: Server,
    pub address: SocketAddr,
    pub connections: Connections,
}

/// How many connections are open.
#[derive(Clone, Default)]
pub struct Connections(watch::Sender<usize>);

/// Lives as long as its connection.
struct Connected(Connections);

impl Connections {
    /// Returns when none is open.
    pub async fn none(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }

    fn enter(&self) -> Connected {
        self.0.send_modify(|open| *open += 1);
        Connected(self.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// Binds the address and prepares the server.
pub fn bind(registry: RegistryHandle) -> std::io::Result<HttpEnd> {
    let settings = registry.services().settings.clone();
    let listener = TcpListener::bind(settings.server.bind)?;
    socket2::SockRef::from(&listener).set_tcp_mss(SEGMENT)?;
    let address = listener.local_addr()?;
    let stall = settings.stream.sse_stall_timeout;
    let registry = web::Data::new(registry);
    let connections = Connections::default();
    let counted = connections.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(registry.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            // A trailing slash changes nothing.
            .wrap(NormalizePath::trim())
            .wrap(from_fn(loopback_only))
            .wrap(from_fn(request_context))
            .configure(configure_errors)
            .configure(route::mount)
    })
    .on_connect(move |connection, extensions| {
        tune(connection, stall);
        extensions.insert(counted.enter());
    })
    // With half-closed connections allowed, a reader that has gone away silently would be kept for ever.
    .h1_allow_half_closed(false)
    .h1_write_buffer_size(WRITE_BUFFER)
    .client_request_timeout(Duration::from_secs(30))
    .max_connections(50_000)
    .backlog(4096)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(HttpEnd { server, address, connections })
}

/// A body is not asked for more while its socket takes nothing, so only the kernel can notice a stalled reader.
fn tune(connection: &dyn Any, stall: Duration) {
    let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else { return };
    let socket = socket2::SockRef::from(stream);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and(socket.set_send_buffer_size(SEND_BUFFER))
        .and(socket.set_tcp_user_timeout(Some(stall)));
    if let Err(error) = tuned {
        tracing::debug!(error = %error, "connection could not be tuned");
    }
}
