//! What requests count: how many there were of each route, with which status, and how long the heads of the answers took.
//!
//! Labels are the patterns of routes, never paths, so that there are only so many series, whatever clients ask for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::meter::Histogram;

/// A method and the pattern of a route.
pub type Route = (&'static str, String);

/// Of the requests of one route.
#[derive(Debug)]
pub struct RouteMeters {
    /// Until the head of the answer; a body, and a stream above all, goes on after it.
    pub latency: Histogram,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

impl RouteMeters {
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, status: u16, begun: Instant) {
        self.latency.observe_time(begun.elapsed());
        *self.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }
}

impl Default for RouteMeters {
    fn default() -> Self {
        Self { latency: Histogram::of_latencies(), statuses: Mutex::default() }
    }
}

/// The meters of all requests of a service.
#[derive(Debug, Default)]
pub struct RequestMeters(RwLock<HashMap<Route, Arc<RouteMeters>>>);

impl RequestMeters {
    pub fn of(&self, route: Route) -> Arc<RouteMeters> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&route).cloned();
        known
            .unwrap_or_else(|| self.0.write().unwrap_or_else(PoisonError::into_inner).entry(route).or_default().clone())
    }

    /// Every route that was asked for, in order.
    pub fn all(&self) -> BTreeMap<Route, Arc<RouteMeters>> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        routes.iter().map(|(route, meters)| (route.clone(), meters.clone())).collect()
    }
}

/// Counts a request when the head of its answer is made.
pub async fn count_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let (begun, method) = (Instant::now(), name_of(request.method()));
    let meters = request.app_data::<web::Data<RequestMeters>>().cloned();
    let answer = next.call(request).await;
    let (route, status) = match &answer {
        Ok(response) => (response.request().match_pattern(), response.status()),
        // Refused before it came to a route.
        Err(error) => (None, error.as_response_error().status_code()),
    };
    if let Some(meters) = meters {
        meters.of((method, route.unwrap_or_default())).count(status.as_u16(), begun);
    }
    answer
}

/// A client can make up any method.
fn name_of(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
