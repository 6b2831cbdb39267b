//! The service over HTTP.

pub mod problem;
pub mod middleware;
