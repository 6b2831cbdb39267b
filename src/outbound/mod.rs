//! Requests that the service makes of others: of language models, of who signs people in, and of other nodes.
//!
//! Invariant: there is one way out, with one TLS. It follows no redirect, and whoever sends bounds the time and what is
//! read.

pub mod connection;
pub mod tls;

pub use connection::{Answer, Outgoing, send, send_within};
pub use tls::CertificatesError;
