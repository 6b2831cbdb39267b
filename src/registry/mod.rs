//! The registry: what is running, and the only way to start, watch and stop work.
//!
//! Laws. A row is stored before its stream is opened, and its stream before its worker is started; a piece
//! of work leaves the registry only when its stream has ended and its row is final. A command, once given,
//! is carried out whether or not its caller stays to hear the answer.

pub mod admission;
pub mod safe_mode;
pub mod keyed_locks;
pub mod leases;
pub mod trees;
pub mod meters;
pub mod followers;
pub mod services;
pub mod slot;
pub mod slots;
pub mod core;
pub mod packages;
pub mod configurations;
pub mod configuration_edits;
pub mod additions;
pub mod pruning;
pub mod error;
pub mod kind;
pub mod reading;
pub mod launch;
pub mod creation;
pub mod cancelling;
pub mod builds;
pub mod kinds;
pub mod leftovers;
pub mod feeds;
pub mod recovery;
pub mod takeover;
pub mod deletion;
pub mod remains;
pub mod drain;
pub mod actor;
pub mod handle;

pub use actor::Observed;
pub use additions::AddError;
pub use creation::{Created, RetryError};
pub use deletion::Tidied;
pub use error::{CancelError, CreateError, EnsureBuildError, ReadError};
pub use handle::RegistryHandle;
pub use kinds::execution::NewExecution;
pub use kinds::run::NewRun;
pub use leftovers::INCOMING;
pub use meters::{KindMeters, WorkMeters};
pub use pruning::PruneReport;
pub use services::{Arbiters, Services, probe_venvs};
pub use slot::ActorState;
pub use takeover::{TakeOverError, TakenOver};
