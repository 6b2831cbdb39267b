//! ADE: an actor-based event streaming service.
//!
//! ```text
//! http::route -> registry -> worker (a session of a run, a build or an execution)
//!                    |          | drafts
//!                    |          v
//!                    '----> stream -> log (the file is the truth)
//!                               |
//!                               +-> stream::Follow -> http::respond (readers)
//!                               '-> projection -> store (rows)
//! ```
//!
//! Laws: one actor per stream numbers, writes and publishes (L1); sequences are dense from 1 (L2); nothing is acknowledged
//! or shown before it is durable (L3); after the terminal event nothing (L4); a reader delays no other (L5); rows and
//! summaries are folds of logs (L6).
//!
//! The modules stand in reading order: each imports only what stands before it. `docs/ARCHITECTURE.md` says which, and walks through
//! one run, one reconnect and one crash.

pub mod domain;
pub mod config;
pub mod assets;
pub mod console;
pub mod files;
pub mod sse;
pub mod backoff;
pub mod blocking;
pub mod meter;
pub mod trace;
pub mod isolation;
pub mod unzip;
pub mod workbook;
pub mod audit;
pub mod outbound;
pub mod objects;
pub mod oidc;
pub mod package;
pub mod llm;
pub mod event;
pub mod log;
pub mod supervision;
pub mod stream;
pub mod summary;
pub mod workflow;
pub mod store;
pub mod depot;
pub mod access;
pub mod cluster;
pub mod catalogue;
pub mod projection;
pub mod feed;
pub mod backup;
pub mod worker;
pub mod registry;
pub mod maintenance;
pub mod http;
pub mod telemetry;
pub mod app;
pub mod cli;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
