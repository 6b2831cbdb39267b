//! What pages of other origins may do. The browser asks, and keeps from a page what it may not have.

use actix_cors::Cors;
use actix_web::middleware::Condition;

/// For these origins; without any nothing is added to any answer. Cookies are none of it: pages of other origins sign in
/// with a key or a ticket.
pub fn cors(origins: &[String]) -> Condition<Cors> {
    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    const SENT: [&str; 11] = [
        "Accept",
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "If-Range",
        "Last-Event-ID",
        "Range",
        "X-API-Key",
        "X-Request-ID",
    ];
    const READ: [&str; 9] = [
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-ID",
    ];
    let cors = Cors::default().allowed_methods(METHODS).allowed_headers(SENT).expose_headers(READ).max_age(600);
    let cors = origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    Condition::new(!origins.is_empty(), cors)
}
