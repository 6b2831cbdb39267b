//! Waiting for a condition. The limits are only there so that a test that hangs ends at some time.

use std::time::{Duration, Instant};

/// What has not happened by then never will, however busy the machine is. It says nothing about how long things should
/// take.
pub const TIMEOUT: Duration = Duration::from_secs(300);
/// A setting for a time that must not elapse: longer than [`TIMEOUT`].
pub const NEVER: &str = "1800s";

/// Waits until `look` finds something.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(TIMEOUT, what, look)
}

/// As [`eventually`], with a limit of its own.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}
