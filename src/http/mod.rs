//! The service over HTTP: requests become messages to the registry, streams become responses.
//!
//! Invariant: a handler names its caller and finds through the caller's scope; it waits for no work, and its
//! hang-up stops none.

pub mod problem;
pub mod query;
pub mod ports;
pub mod errors;
mod access_errors;
pub mod middleware;
pub mod requests;
pub mod exposition;
pub mod auth;
pub mod revocable;
pub mod sign_in;
pub mod cors;
pub mod call;
pub mod paths;
pub mod resource;
pub mod body;
pub mod input;
pub mod form;
pub mod accept;
pub mod problem_page;
pub mod positions;
pub mod cursor;
pub mod filter;
pub mod files_query;
pub mod list;
pub mod respond;
pub mod contract;
pub mod route;
pub mod connection;
pub mod tls;
pub mod peer;
pub mod pace;
pub mod forward;
pub mod limits;
pub mod audited;
pub mod push;
mod reading;
mod turns;
pub mod upgrade;
pub mod target;
pub mod conditional;
pub mod server;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
