//! The tasks of a round, in their order, and the round that runs them.

use std::time::Instant;

use chrono::Utc;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use super::round::{Round, Service};
use super::{copies, feeds, files, inputs, logs, pruning};
use crate::domain::maintenance::{MaintenanceReport, TaskReport};
use crate::domain::time::micros;

/// Something that is kept in order.
pub struct Task {
    pub name: &'static str,
    /// Fills in the report that has the task's name.
    pub run: fn(Round, TaskReport) -> LocalBoxFuture<'static, TaskReport>,
}

/// Logs get their end, and feeds deliver it, before anything else is done with them; and none is compressed, and no file put
/// into the store, that is to be deleted.
pub const TASKS: &[Task] = &[
    Task { name: "complete_logs", run: |round, report| logs::complete(round, report).boxed_local() },
    Task { name: "delete_logs", run: |round, report| logs::delete(round, report).boxed_local() },
    Task { name: "compress_logs", run: |round, report| logs::compress(round, report).boxed_local() },
    Task { name: "archive_logs", run: |round, report| logs::archive(round, report).boxed_local() },
    Task { name: "tidy_copies", run: |round, report| copies::tidy(round, report).boxed_local() },
    Task { name: "expire_feeds", run: |round, report| feeds::expire(round, report).boxed_local() },
    Task { name: "expire_documents", run: |round, report| inputs::expire(round, report).boxed_local() },
    Task { name: "remove_deleted", run: |round, report| inputs::remove_deleted(round, report).boxed_local() },
    Task { name: "store_files", run: |round, report| files::settle(round, report).boxed_local() },
    Task { name: "release_files", run: |round, report| files::release(round, report).boxed_local() },
    Task { name: "prune_builds", run: |round, report| pruning::builds(round, report).boxed_local() },
    Task { name: "forget_keys", run: |round, report| pruning::idempotency_keys(round, report).boxed_local() },
];

/// Runs every task once, then reports what was done.
pub async fn round(service: Service, stop: watch::Receiver<bool>) -> MaintenanceReport {
    let (began, started_at) = (Instant::now(), micros(Utc::now()));
    let Service { registry, services } = service;
    let round = Round { registry, services, now: started_at, stop };
    let mut tasks = Vec::new();
    for task in TASKS {
        if round.should_stop() {
            break;
        }
        let report = (task.run)(round.clone(), TaskReport::new(task.name)).await;
        log(&report);
        tasks.push(report);
    }
    let duration_ms = began.elapsed().as_millis() as u64;
    tracing::info!(duration_ms, tasks = tasks.len(), "maintenance round done");
    MaintenanceReport { started_at, duration_ms, tasks }
}

/// A round of its own, for a caller that holds the data directory without a service.
pub async fn run_once(service: Service) -> MaintenanceReport {
    let (_go_on, stop) = watch::channel(false);
    round(service, stop).await
}

fn log(report: &TaskReport) {
    let TaskReport { name, done, skipped, failed, bytes_freed, unfinished, errors } = report;
    if *failed > 0 {
        tracing::warn!(task = %name, done, skipped, failed, bytes_freed, ?errors, "maintenance task had errors");
    } else if done + skipped > 0 || *unfinished {
        tracing::info!(task = %name, done, skipped, bytes_freed, unfinished, "maintenance task done");
    }
}
