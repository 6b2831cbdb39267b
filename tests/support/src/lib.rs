//! What the test programs and the benchmarks share. It knows the service only from outside: over HTTP, by its files and
//! by its processes.

pub mod database;
pub mod definitions;
pub mod http;
pub mod laws;
pub mod log;
pub mod metrics;
pub mod model;
pub mod nats;
pub mod packages;
pub mod process;
pub mod provider;
pub mod random;
pub mod server;
pub mod sse;
pub mod tools;
pub mod wait;
pub mod weed;

pub use wait::{NEVER, TIMEOUT, eventually, wait_until, within};
