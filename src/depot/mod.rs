//! Files of workspaces, wherever they are: on the disk alone, or in an object store of which the disk has copies.
//!
//! Laws. At every moment a file that counts is on the disk, or in the store, read back, with a row that says so: a copy goes
//! only after that. What is put into the store is noted before, so that nothing is forgotten there; what is noted and never
//! comes to count goes again. A file is fetched once however many wait for it, and has its name when its checksum was right.
//! Who waits for the store waits for a bounded time. Without a store nothing of this exists but the disk.

mod error;
mod locks;
mod release;
mod remote;
mod handle;
mod outputs;
mod upkeep;
#[cfg(test)]
mod tests;

pub use error::{OpenError, PutError, RemoveError};
pub use handle::{Begun, Depot, FileToKeep, Kept, Meters, Removal};
pub use remote::RemoteOptions;
