//! Requests that the service makes of others: of language models, and of who signs people in.
//!
//! Invariant: there is one way out, with one TLS. It follows no redirect, and whoever sends bounds the time and what is
//! read.

pub mod connection;
pub mod tls;

pub use connection::{Answer, Outgoing, send};
pub use tls::CertificatesError;
