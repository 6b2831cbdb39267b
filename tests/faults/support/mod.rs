//! The real service as a child process, a plain client of it, and an engine that does what its input says.
#![allow(dead_code, reason = "several test programs share this, and none uses all of it")]

#[path = "../../support/definitions.rs"]
pub mod definitions;
pub mod embedded;
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

/// What has not come by then never will, however busy the machine is. It says nothing of how long things should take.
pub const HANGS: Duration = Duration::from_secs(120);
/// A setting for what must not be waited for: longer than [`HANGS`].
pub const FOR_EVER: &str = "600s";

/// Waits until `look` finds something.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(HANGS, what, look)
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
