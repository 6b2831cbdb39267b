//! PLACEHOLDER for the composition root, so that the command line compiles and can be tried: it serves
//! `/health/live` and nothing else. To be replaced as a whole.

use std::future::Future;
use std::net::SocketAddr;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, dev, web};

use crate::config::Settings;
use crate::http::middleware::{configure_errors, loopback_only, request_context};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen: {0}")]
    Listen(std::io::Error),
}

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
#[error("server: {0}")]
pub struct RunError(std::io::Error);

/// A service that is ready to run.
pub struct Application {
    server: dev::Server,
    address: SocketAddr,
}

/// Ends a service from outside.
#[derive(Clone)]
pub struct StopHandle(dev::ServerHandle);

impl Application {
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let server = HttpServer::new(|| {
            App::new()
                .configure(configure_errors)
                .service(web::resource("/health/live").route(web::get().to(|| async { "ok" })))
                .wrap(from_fn(loopback_only))
                .wrap(from_fn(request_context))
        });
        let server = server.workers(1).disable_signals().bind(settings.server.bind).map_err(StartError::Listen)?;
        let address = server.addrs().first().copied().unwrap_or(settings.server.bind);
        Ok(Self { server: server.run(), address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.server.handle())
    }

    pub fn run(self) -> impl Future<Output = Result<(), RunError>> {
        let server = self.server;
        async move { server.await.map_err(RunError) }
    }
}

impl StopHandle {
    /// Takes effect at once; await the running service for its end.
    pub fn stop(&self, graceful: bool) {
        drop(self.0.stop(graceful));
    }
}
