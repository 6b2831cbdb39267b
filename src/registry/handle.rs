//! All that HTTP holds of the registry. Commands run detached on worker threads.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};

use super::actor::Registry;
use super::additions::{self, AddError};
use super::builds::{self, Ask};
use super::configurations::{self, Expected, ReplaceError};
use super::error::{
    CancelBuildError, CancelRunError, CreateExecutionError, CreateRunError, EnsureBuildError, ExecutionCancelError,
    ReadError, RetryExecutionError, RetryRunError, SayToExecutionError,
};
use super::executions::{self, CreatedExecution, NewExecution};
use super::message::{Entries, Observe, Observed};
use super::pruning::{self, PruneReport};
use super::services::Services;
use super::{creation, reading, recovery, runs};
use crate::domain::build::Build;
use crate::domain::configuration::{Configuration, Document};
use crate::domain::execution::Execution;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::principal::Principal;
use crate::domain::progress::Progress;
use crate::domain::run::{Run, RunOptions};
use crate::domain::safe_mode::SafeMode;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::domain::{BuildId, ConfigurationId, ExecutionId, RunId, StreamKey, WorkspaceId};
use crate::event::payload::Caller;
use crate::feed::FeedError;
use crate::files::Location;
use crate::log::Expired;
use crate::store::{Store, StoreError};
use crate::stream::Follow;
use crate::stream::window::Halt;
use crate::worker::process::{Marker, kill_marked};
use crate::worker::stop::StopReason;
use crate::workflow::person::{Address, Saying};

/// A run that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Given when the path names it; the configuration must belong to it.
    pub workspace_id: Option<WorkspaceId>,
    pub configuration_id: ConfigurationId,
    pub options: RunOptions,
    pub key: Option<IdempotencyKey>,
}

/// A run as it was when it had been created.
#[derive(Debug, Clone)]
pub struct Created {
    pub run: Run,
    /// It was created by an earlier request under the same key.
    pub replayed: bool,
}

#[derive(Clone)]
pub struct RegistryHandle {
    registry: Addr<Registry>,
    services: Services,
}

impl RegistryHandle {
    /// Starts the registry's actor; must be called within an actix system.
    pub fn start(services: Services) -> Self {
        Self { registry: Registry::default().start(), services }
    }

    pub fn store(&self) -> &Store {
        &self.services.store
    }

    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Ends what an earlier life left behind. The feeds tell of it in the background.
    pub async fn recover(&self) -> Result<recovery::Report, StoreError> {
        let (services, registry) = self.parts();
        let recovered = async move || {
            let (report, untold) = recovery::recover(&services, &registry).await?;
            actix::spawn(async move {
                recovery::complete_feeds(&services, &registry, untold).await;
                services.feeds.close_idle_ones().await;
            });
            Ok(report)
        };
        self.services.arbiters.run(recovered).await
    }

    /// Gives logs that had failed their end, where they can be opened again. The feeds tell of it.
    pub async fn complete_logs(&self) -> Result<recovery::Report, StoreError> {
        let (services, registry) = self.parts();
        let complete = move || async move {
            let mut report = recovery::Report::default();
            let completed = recovery::complete_logs(&services, &registry, &mut report).await?;
            recovery::complete_feeds(&services, &registry, completed).await;
            Ok(report)
        };
        self.services.arbiters.run(complete).await
    }

    /// Whether somebody is at work on this, or its row is not yet final.
    pub async fn is_live(&self, key: StreamKey) -> bool {
        reading::is_live(&self.registry, key).await
    }

    pub async fn create_run(&self, principal: Principal, new: NewRun) -> Result<Created, CreateRunError> {
        let (services, registry) = self.parts();
        self.services.arbiters.run(move || creation::create(services, registry, principal, new)).await
    }

    /// A new run with the options of one that has ended.
    pub async fn retry_run(
        &self,
        principal: Principal,
        id: RunId,
        key: Option<IdempotencyKey>,
    ) -> Result<Created, RetryRunError> {
        let (services, registry) = self.parts();
        self.services.arbiters.run(move || creation::retry(services, registry, principal, id, key)).await
    }

    pub async fn create_execution(
        &self,
        principal: Principal,
        new: NewExecution,
    ) -> Result<CreatedExecution, CreateExecutionError> {
        let (services, registry) = self.parts();
        self.services.arbiters.run(move || executions::create(services, registry, principal, new)).await
    }

    /// A new execution of one that did not complete; what that has completed is kept.
    pub async fn retry_execution(
        &self,
        principal: Principal,
        id: ExecutionId,
        key: Option<IdempotencyKey>,
    ) -> Result<CreatedExecution, RetryExecutionError> {
        let (services, registry) = self.parts();
        self.services.arbiters.run(move || executions::retry(services, registry, principal, id, key)).await
    }

    /// Answers or decides what an execution waits for; durable when this returns.
    pub async fn say_to_execution(
        &self,
        principal: Principal,
        id: ExecutionId,
        to: Address,
        saying: Saying,
    ) -> Result<(), SayToExecutionError> {
        let (services, registry) = self.parts();
        self.services.arbiters.run(move || executions::say(services, registry, principal, id, to, saying)).await
    }

    pub async fn cancel_execution(
        &self,
        principal: Principal,
        id: ExecutionId,
        reason: Option<String>,
    ) -> Result<bool, ExecutionCancelError> {
        let (services, registry) = self.parts();
        let stop = StopReason::Cancel { requested_by: Some(Caller::from(&principal)), reason };
        self.services.arbiters.run(move || executions::cancel(services, registry, principal.workspaces, id, stop)).await
    }

    pub async fn execution(&self, principal: &Principal, id: ExecutionId) -> Result<Option<Execution>, StoreError> {
        reading::settled_execution(&self.services, &self.registry, &principal.workspaces, id).await
    }

    /// How far an execution has come, by its log.
    pub async fn execution_progress(&self, execution: &Execution) -> Result<Progress, ReadError> {
        executions::progress(&self.services, &self.registry, execution).await
    }

    pub fn safe_mode(&self) -> SafeMode {
        self.services.safe_mode.current()
    }

    /// Turns safe mode on or off, also for later lives of the service.
    pub async fn set_safe_mode(&self, principal: Principal, wanted: SafeMode) -> Result<(), StoreError> {
        let switch = self.services.safe_mode.clone();
        self.services.arbiters.run(move || async move { switch.set(wanted, &principal).await }).await
    }

    /// Makes sure that a configuration has a venv; the build answered is the one that the caller may watch.
    pub async fn ensure_build(
        &self,
        principal: Principal,
        configuration_id: ConfigurationId,
        force: bool,
    ) -> Result<Build, EnsureBuildError> {
        let (services, registry) = self.parts();
        let ask = Ask { scope: principal.workspaces, configuration_id, force, manual: true };
        let ensured =
            self.services.arbiters.run(move || async move { builds::ensure(&services, &registry, ask).await }).await?;
        Ok(ensured.build)
    }

    /// Removes venvs that nobody needs any more. Never one that a run uses or a build is making.
    pub async fn prune_builds(&self) -> PruneReport {
        let (services, registry) = self.parts();
        let report =
            self.services.arbiters.run(move || async move { pruning::prune(&services, &registry).await }).await;
        tracing::info!(?report, "venvs pruned");
        report
    }

    /// Brings up to date what rows of builds say of their venvs.
    pub async fn look_at_venvs(&self, builds: &mut [Build]) -> Result<(), StoreError> {
        pruning::look_at_venvs(&self.services, builds).await
    }

    /// See [`additions::add_configuration`].
    pub async fn add_configuration<E: Send + 'static>(
        &self,
        configuration: Configuration,
        make: impl FnOnce(&Location) -> Result<String, E> + Send + 'static,
    ) -> Result<Configuration, AddError<E>> {
        let services = self.services.clone();
        self.services.arbiters.run(move || additions::add_configuration(services, configuration, make)).await
    }

    /// See [`additions::add_document`].
    pub async fn add_document<E: Send + 'static>(
        &self,
        document: Document,
        place: impl FnOnce(&Location) -> Result<(), E> + Send + 'static,
    ) -> Result<Document, AddError<E>> {
        let services = self.services.clone();
        self.services.arbiters.run(move || additions::add_document(services, document, place)).await
    }

    /// See [`configurations::replace`].
    pub async fn replace_configuration(
        &self,
        principal: Principal,
        of: (WorkspaceId, ConfigurationId),
        expected: Expected,
        zip: File,
    ) -> Result<Configuration, ReplaceError> {
        let services = self.services.clone();
        let replace = move || configurations::replace(services, principal.workspaces, of, expected, zip);
        self.services.arbiters.run(replace).await
    }

    pub async fn cancel_run(
        &self,
        principal: Principal,
        id: RunId,
        reason: Option<String>,
    ) -> Result<bool, CancelRunError> {
        let (services, registry) = self.parts();
        let stop = StopReason::Cancel { requested_by: Some(Caller::from(&principal)), reason };
        self.services.arbiters.run(move || runs::cancel(services, registry, principal.workspaces, id, stop)).await
    }

    pub async fn cancel_build(
        &self,
        principal: Principal,
        id: BuildId,
        reason: Option<String>,
    ) -> Result<bool, CancelBuildError> {
        let (services, registry) = self.parts();
        let stop = StopReason::Cancel { requested_by: Some(Caller::from(&principal)), reason };
        self.services.arbiters.run(move || builds::cancel(services, registry, principal.workspaces, id, stop)).await
    }

    pub async fn run(&self, principal: &Principal, id: RunId) -> Result<Option<Run>, StoreError> {
        reading::settled_run(&self.services, &self.registry, &principal.workspaces, id).await
    }

    pub async fn build(&self, principal: &Principal, id: BuildId) -> Result<Option<Build>, StoreError> {
        let mut build = reading::settled_build(&self.services, &self.registry, &principal.workspaces, id).await?;
        pruning::look_at_venvs(&self.services, build.as_mut_slice()).await?;
        Ok(build)
    }

    /// Begins to read a stream. The caller has found its row, and so may see it.
    pub async fn follow(&self, key: StreamKey, start: Start) -> Result<Follow, ReadError> {
        reading::follow(&self.services, &self.registry, key, start).await
    }

    /// Deletes what a workspace's feed has told longer ago than `ADE_FEED_RETENTION`, file by file.
    pub async fn expire_feed(&self, workspace_id: WorkspaceId, now: Timestamp) -> Result<Expired, FeedError> {
        let retention = self.services.settings.log.feed_retention;
        let before = chrono::TimeDelta::from_std(retention).ok().and_then(|age| now.checked_sub_signed(age));
        match before {
            Some(before) => self.services.feeds.expire(workspace_id, before).await,
            None => Ok(Expired::default()),
        }
    }

    pub async fn observe(&self) -> Option<Observed> {
        self.registry.send(Observe).await.ok()
    }

    /// Whether the service is going down.
    pub fn is_draining(&self) -> bool {
        self.services.admission.is_closed()
    }

    /// Takes no new work, gives running work until `patience` is over, ends what is left as interrupted,
    /// and tells all readers.
    pub async fn drain(&self, patience: Duration) {
        // Runs that wait for a slot are left to the next start. First, since a run whose build is refused from now on
        // looks here for why.
        self.services.capacity.close();
        self.services.admission.close().await;
        let entries = self.entries().await;
        let all_settled = futures_util::future::join_all(entries.iter().map(|entry| entry.settled()));
        if tokio::time::timeout(patience, all_settled).await.is_err() {
            self.interrupt().await;
        }
        for entry in self.entries().await {
            entry.stream.hub().set_halt(Halt::Draining);
        }
        let feeds = &self.services.feeds;
        // What is not told in time is told at the next start.
        let _ = tokio::time::timeout(LAST_ENTRIES, feeds.quiet()).await;
        feeds.halt().await;
    }

    /// Ends all work now.
    pub async fn interrupt(&self) {
        let entries = self.entries().await;
        entries.iter().for_each(|entry| {
            entry.stopper.stop(StopReason::Interrupt);
        });
        let all_settled = || futures_util::future::join_all(entries.iter().map(|entry| entry.settled()));
        if tokio::time::timeout(INTERRUPT, all_settled()).await.is_err() {
            // Work that is being cancelled has its own time to end; there is none left.
            kill_marked(entries.iter().filter_map(|entry| Marker::of(entry.key())).collect()).await;
            let _ = tokio::time::timeout(LAST, all_settled()).await;
        }
    }

    async fn entries(&self) -> Vec<super::slot::Entry> {
        self.registry.send(Entries).await.unwrap_or_default()
    }

    fn parts(&self) -> (Services, Addr<Registry>) {
        (self.services.clone(), self.registry.clone())
    }
}

/// Interrupted work kills its processes and writes its end.
const INTERRUPT: Duration = Duration::from_secs(4);
/// Feeds tell what has just ended.
const LAST_ENTRIES: Duration = Duration::from_millis(500);
/// What takes longer even with its processes killed is left to the next start.
const LAST: Duration = Duration::from_secs(2);

/// Shared by all handlers.
pub type SharedRegistry = Arc<RegistryHandle>;
