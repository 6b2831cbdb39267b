//! ADE: an actor-based event streaming service.

pub mod domain;
pub mod config;
pub mod assets;
pub mod files;
pub mod sse;
pub mod backoff;
pub mod package;
pub mod llm;
pub mod event;
pub mod log;
pub mod supervision;
pub mod stream;
pub mod summary;
pub mod workflow;
pub mod store;
pub mod catalogue;
pub mod projection;
pub mod feed;
pub mod worker;
pub mod registry;
pub mod maintenance;
pub mod http;
pub mod telemetry;
pub mod app;
pub mod cli;
