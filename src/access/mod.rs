//! Who gets in: API keys, people whom a provider has signed in, and the sessions and tickets of both.
//!
//! Laws. A secret is shown once, to who asked for it, and kept nowhere; what is kept is its digest. Whether a caller is
//! let in is decided in memory, so that the event path never waits for the database; memory is the database as it was at
//! most [`keeper::ROUND`] ago, and what this process changes is changed in both before it is acknowledged. When a key
//! ends, by whatever cause, so does everything that was let in by it; when a person may do something else, what goes on
//! for them is cut off, and asks again.

pub mod secret;
pub mod shown;
pub mod revocation;
pub mod book;
pub mod handle;
mod members;
pub mod keeper;

pub use handle::{Access, CreateKeyError, GrantError, NewKey};
