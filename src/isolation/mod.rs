//! What a child process may reach of the machine: decided as data, kept by the kernel.
//!
//! Invariants:
//! - a [`Policy`] names what is allowed, and whatever it does not name is refused; nothing that the service keeps secret
//!   lies below what it names ([`spared`]);
//! - a child is confined before its program begins, and so is everything that it ever starts: none of it can be undone;
//! - what holds on a machine is found out by trying it ([`attempt`]), not from the version of its kernel.
//!
//! Nothing here knows what runs and builds are: `worker` composes their policies.

pub mod policy;
pub mod spared;
pub mod system;
pub mod users;
pub mod privileges;
pub mod network;
pub mod files;
pub mod confinement;
pub mod attempt;

pub use attempt::{Protection, Verdict};
pub use confinement::Confinement;
pub use policy::{Policy, Strictness};
pub use privileges::hide_this_process;
pub use spared::spared;
pub use users::{NoUserIds, can_give};
