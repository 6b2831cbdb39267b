//! The rows: workspaces, configurations, documents, builds, runs, workflows with their executions, documents and calls,
//! and what is switched or remembered beside them, in and out of the database as domain records.
//!
//! Laws. Only this module names the database crates. A finder takes what the caller may see first, and a row outside
//! of it does not exist for that caller. What a log decides is saved with the sequence it stands at and never goes
//! back to an older one. Writes wait for their turn in memory, in order, before SQLite is asked for its write lock.

mod error;
mod database;
pub(crate) mod cells;
mod schema;
pub(crate) mod listable;
mod filter;
mod list;
mod rows;
mod workspace;
mod configuration;
mod stored_file;
mod node;
mod owner;
mod document;
mod build;
mod run;
mod setting;
mod api_key;
mod access_grant;
mod person;
mod member;
mod claim;
mod retention;
mod feed_origin;
mod feed_owner;
mod deletion;
mod workflow_document;
mod workflow;
mod execution;
mod ledger;
mod transfer;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod oracle;

pub use configuration::NextPackage;
pub use database::{Pool, Store, sqlite_file};
pub use deletion::{Deletable, DeleteError, Deleted};
pub use error::{ConnectError, MigrateError, StoreError};
pub use list::{Listed, Slice};
pub use listable::Listable;
pub use member::AddMemberError;
pub use node::NodeList;
pub use owner::Owned;
pub use person::KnownPerson;
pub use retention::{FinishedLog, FinishedQuery};
pub use rows::{InsertError, StoredWork};
pub use schema::SchemaStatus;
pub use transfer::CopyError;
pub use workflow::{DeleteWorkflowError, InsertWorkflowError, ReplaceWorkflowError};
pub use workflow_document::{ChangeDocumentError, CreateDocumentError};
pub use workspace::{AddInputError, ChangeWorkspaceError, InsertWorkspaceError};
