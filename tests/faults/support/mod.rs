//! The real service as a child process, a plain client of it, and an engine that does what its input says.
#![allow(dead_code, reason = "several test programs share this, and none uses all of it")]

#[path = "../../support/definitions.rs"]
pub mod definitions;
pub mod http;
#[path = "../../support/laws.rs"]
pub mod laws;
pub mod log;
#[path = "../../support/model.rs"]
pub mod model;
pub mod process;
pub mod random;
pub mod server;
pub mod sse;
pub mod tools;
pub mod work;

use std::time::{Duration, Instant};

/// Waits until `look` finds something; what is slow for any other reason than being broken gets this much time.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(60), what, look)
}

/// As [`eventually`], with a limit of its own.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
