//! The registry: who is at work, and the only way to give, watch and stop work.
//!
//! Laws. A row is stored before its stream is opened, and its stream before its worker is started; a piece
//! of work leaves the registry only when its stream has ended and its row is final. A command, once given,
//! is carried out whether or not its caller stays to hear the answer.

pub mod error;
pub mod admission;
pub mod safe_mode;
pub mod repeats;
pub mod services;
pub mod slot;
pub mod leases;
pub mod message;
pub mod actor;
pub mod launch;
pub mod additions;
pub mod configurations;
pub mod builds;
pub mod pruning;
pub mod runs;
pub mod executions;
pub mod creation;
pub mod reading;
pub mod leftovers;
pub mod recovery;
pub mod handle;

pub use additions::AddError;
pub use error::{CancelError, CreateRunError, EnsureBuildError, ReadError, RetryRunError};
pub use executions::{CreatedExecution, NewExecution};
pub use handle::{Created, NewRun, RegistryHandle};
pub use leftovers::INCOMING;
pub use pruning::PruneReport;
pub use services::{Arbiters, Services, probe_venvs};
