//! What others hold of the registry: a typed face of its actor's messages, and where passive resources are read.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};

use super::actor::{Cancel, Create, EnsureBuild, Follow, Observe, Observed, Perform, Ping, Retry, Say};
use super::additions::{self, AddError};
use super::builds::BuildRequest;
use super::configuration_edits::{self, EditConfigurationError, Place, Transition, TransitionError};
use super::configurations::{self, Expected, Exported, ReadPackageError, ReplaceError};
use super::core::Core;
use super::creation::{Created, RetryError};
use super::deletion::{self, Tidied};
use super::error::{AnswerExecutionError, CancelError, CreateError, EnsureBuildError, ReadError};
use super::kind::{Creatable, WorkKind};
use super::kinds::execution;
use super::pruning::{self, PruneReport};
use super::services::Services;
use super::slots::Registry;
use super::takeover::{self, TakeOverError, TakenOver};
use super::{drain, feeds, packages, reading, recovery};
use crate::blocking::blocking;
use crate::cluster::Nodes;
use crate::config::Settings;
use crate::depot::OpenError;
use crate::domain::build::Build;
use crate::domain::call_prompt::CallPrompt;
use crate::domain::configuration::{Configuration, Document};
use crate::domain::execution::Execution;
use crate::domain::id::NodeId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::principal::Principal;
use crate::domain::progress::Progress;
use crate::domain::safe_mode::SafeMode;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::domain::work::Work as _;
use crate::domain::{BuildId, CallId, ConfigurationId, ExecutionId, StreamKey, WorkspaceId};
use crate::event::payload::Caller;
use crate::feed::FeedError;
use crate::files::Location;
use crate::log::JournalState;
use crate::log::{Expired, FencedOff};
use crate::package::{EditError, ExportError, Issue, PackageEntry, PackageListing, PackagePath, TreeError};
use crate::store::{Deletable, DeleteError, Store, StoreError};
use crate::stream;
use crate::trace::Origin;
use crate::worker::execution::prompts;
use crate::worker::execution::replies::CALLS;
use crate::worker::inbox::Answer;
use crate::worker::{WorkContext, actor as work};
use crate::workflow::user_input::{StepRef, UserInput};

#[derive(Clone)]
pub struct RegistryHandle {
    /// The actor's address, and what is needed beside it to read.
    core: Core,
}

impl RegistryHandle {
    /// Starts the registry's actor; must be called within an actix system.
    pub fn start(services: Services) -> Self {
        let registry = Registry::new(services.clone()).start();
        Self { core: Core::new(services, registry) }
    }

    pub fn store(&self) -> &Store {
        &self.core.services.store
    }

    pub fn settings(&self) -> &Arc<Settings> {
        &self.core.services.settings
    }

    /// Where files are, and the locks of packages.
    pub fn work(&self) -> &Arc<WorkContext> {
        &self.core.services.work
    }

    /// This node, and those that share its database.
    pub fn nodes(&self) -> &Nodes {
        &self.core.services.nodes
    }

    /// What is counted of work and its streams, its queue, its processes and its calls.
    pub fn services(&self) -> &Services {
        &self.core.services
    }

    /// Sends a message from a task of its own: one that still waits in the mailbox when its caller goes away would be
    /// skipped.
    async fn send<M>(&self, message: M) -> M::Result
    where
        Registry: Handler<M>,
        <Registry as Actor>::Context: ToEnvelope<Registry, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let answer = tokio::spawn(self.core.registry.send(message)).await;
        answer.ok().and_then(Result::ok).expect("a command ends with an answer unless it panicked")
    }

    async fn perform<F, Fut>(&self, command: F) -> Fut::Output
    where
        F: FnOnce(Core) -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.send(Perform(command)).await
    }

    /// Ends what the previous process left behind. The feeds follow in the background.
    pub async fn recover(&self) -> Result<recovery::Report, StoreError> {
        let recover = |core: Core| async move {
            let (report, pending) = recovery::recover(&core).await?;
            actix::spawn(async move {
                feeds::complete_feeds(&core, pending).await;
                core.services.feeds.close_idle_ones().await;
            });
            Ok(report)
        };
        self.perform(recover).await
    }

    /// Gives logs that had failed their end, where they can be opened again. The feeds follow.
    pub async fn complete_logs(&self) -> Result<recovery::Report, StoreError> {
        let complete = |core: Core| async move {
            let mut report = recovery::Report::default();
            let completed = recovery::complete_logs(&core, &mut report).await?;
            feeds::complete_feeds(&core, completed).await;
            Ok(report)
        };
        self.perform(complete).await
    }

    /// Goes on with the work of a node that is lost, and whose journal this fence has closed.
    pub async fn take_over(&self, from: NodeId, fence: FencedOff) -> Result<TakenOver, TakeOverError> {
        self.perform(move |core| async move { takeover::take_over(&core, from, fence).await }).await
    }

    /// The node that writes the feed of a workspace.
    pub async fn feed_owner(&self, workspace_id: WorkspaceId) -> Result<NodeId, StoreError> {
        self.core.services.feeds.owner(workspace_id).await
    }

    /// Brings this node's feeds up to date with the streams of others.
    pub async fn follow_others(&self) -> Result<(), StoreError> {
        self.perform(|core| async move { feeds::follow_others(&core).await }).await
    }

    /// Goes on with the work that this node had under another id; its process is the one of this epoch.
    pub async fn inherit(&self, former: NodeId, epoch: u64) -> Result<TakenOver, TakeOverError> {
        self.perform(move |core| async move { takeover::inherit(&core, former, epoch).await }).await
    }

    /// Takes up unfinished work of this node that nothing works on.
    pub async fn take_up_strays(&self) -> Result<(), StoreError> {
        self.perform(|core| async move { takeover::take_up_strays(&core).await }).await
    }

    /// Whether a stream can be read here by somebody who says to have its events up to `claimed`; else another node has it.
    pub async fn is_here(&self, key: StreamKey, claimed: u64) -> bool {
        reading::is_here(&self.core, key, claimed).await
    }

    /// Whether something works on this, or its row is not yet final.
    pub async fn is_live(&self, key: StreamKey) -> bool {
        self.core.is_live(key).await
    }

    pub async fn create<W: Creatable>(
        &self,
        principal: Principal,
        new: W::New,
        key: Option<IdempotencyKey>,
    ) -> Result<Created<W>, CreateError<W::Refusal>> {
        self.send(Create::<W> { principal, new, key, origin: Origin::current() }).await
    }

    /// New work with the options of work that has ended; what an execution has completed is kept.
    pub async fn retry<W: Creatable>(
        &self,
        principal: Principal,
        id: W::Id,
        key: Option<IdempotencyKey>,
    ) -> Result<Created<W>, RetryError<W>> {
        self.send(Retry::<W> { principal, id, key, origin: Origin::current() }).await
    }

    /// True when this made it end; false when it was cancelled or being cancelled already.
    pub async fn cancel<W: WorkKind>(
        &self,
        principal: Principal,
        id: W::Id,
        reason: Option<String>,
    ) -> Result<bool, CancelError<W::Status>> {
        let cancel = work::Cancel { requested_by: Some(Caller::from(&principal)), reason };
        self.send(Cancel::<W> { scope: principal.workspaces, id, cancel }).await
    }

    /// The row, never behind an end that a reader has seen.
    pub async fn show<W: WorkKind>(&self, principal: &Principal, id: W::Id) -> Result<Option<W>, StoreError> {
        reading::settled(&self.core, &principal.workspaces, id).await
    }

    /// Answers or decides what an execution waits for; durable when this returns.
    pub async fn say_to_execution(
        &self,
        principal: Principal,
        id: ExecutionId,
        to: StepRef,
        input: UserInput,
    ) -> Result<(), AnswerExecutionError> {
        let answer = Answer { to, input, by: principal.clone() };
        self.send(Say { scope: principal.workspaces, id, answer }).await
    }

    /// How far an execution has come, by its log.
    pub async fn execution_progress(&self, execution: &Execution) -> Result<Progress, ReadError> {
        execution::progress(&self.core, execution).await
    }

    /// What a model was asked in a call; none when it was not kept.
    pub async fn call_prompt(&self, execution: &Execution, id: CallId) -> std::io::Result<Option<CallPrompt>> {
        prompts::load(&self.work().location(execution.stream_key().directory()), id).await
    }

    /// What was said in an execution's calls is gone; false when it could not be moved.
    pub async fn discard_calls(&self, execution: StreamKey) -> bool {
        let work = self.work().clone();
        let calls = execution.directory().join(CALLS);
        if let Err(error) = self.services().depot.remove_below(&calls).await {
            tracing::warn!(%execution, %error, "replies are not removed from the object store");
            return false;
        }
        blocking(move || Ok(work.trash.discard(&work.location(calls).path()))).await.unwrap_or(false)
    }

    /// Whether anything can be recorded.
    pub fn journal_state(&self) -> JournalState {
        self.core.services.log.journal_state()
    }

    pub fn safe_mode(&self) -> SafeMode {
        self.core.services.safe_mode.current()
    }

    /// Turns safe mode on or off, also for later starts of the service.
    pub async fn set_safe_mode(&self, principal: Principal, wanted: SafeMode) -> Result<(), StoreError> {
        self.perform(|core| async move { core.services.safe_mode.set(wanted, &principal).await }).await
    }

    /// Makes sure that a configuration has a venv; the build answered is the one that the caller may watch.
    pub async fn ensure_build(
        &self,
        principal: Principal,
        configuration_id: ConfigurationId,
        force: bool,
    ) -> Result<Build, EnsureBuildError> {
        let (scope, origin) = (principal.workspaces, Origin::current());
        let request = BuildRequest { scope, configuration_id, force, manual: true, origin };
        self.send(EnsureBuild(request)).await
    }

    /// Removes venvs that nothing needs any more. Never one that a run uses or a build is making.
    pub async fn prune_builds(&self) -> PruneReport {
        let report = self.perform(|core| async move { pruning::prune(&core).await }).await;
        tracing::info!(?report, "venvs pruned");
        report
    }

    /// The row of a build, as [`RegistryHandle::show`] answers it, and with what is so of its venv.
    pub async fn build(&self, principal: &Principal, id: BuildId) -> Result<Option<Build>, StoreError> {
        let mut build = self.show::<Build>(principal, id).await?;
        self.look_at_venvs(build.as_mut_slice()).await?;
        Ok(build)
    }

    /// Brings up to date what rows of builds say of their venvs.
    pub async fn look_at_venvs(&self, builds: &mut [Build]) -> Result<(), StoreError> {
        pruning::look_at_venvs(&self.core.services, builds).await
    }

    /// See [`additions::add_configuration`].
    pub async fn add_configuration<E: Send + 'static>(
        &self,
        configuration: Configuration,
        make: impl FnOnce(&Location) -> Result<String, E> + Send + 'static,
    ) -> Result<Configuration, AddError<E>> {
        self.perform(|core| additions::add_configuration(core.services, configuration, make)).await
    }

    /// See [`additions::add_document`].
    pub async fn add_document<E: Send + 'static>(
        &self,
        document: Document,
        place: impl FnOnce(&Location) -> Result<(), E> + Send + 'static,
    ) -> Result<Document, AddError<E>> {
        self.perform(|core| additions::add_document(core.services, document, place)).await
    }

    /// See [`deletion::delete`]. The caller has found it, and so may see it.
    pub async fn delete(&self, workspace_id: WorkspaceId, what: Deletable) -> Result<(), DeleteError> {
        self.perform(move |core| async move { deletion::delete(&core, workspace_id, what).await }).await
    }

    /// See [`deletion::expire_documents`].
    pub async fn expire_documents(&self, by: Timestamp) -> Result<Tidied, StoreError> {
        self.perform(move |core| async move { deletion::expire_documents(&core, by).await }).await
    }

    /// See [`deletion::remove_files`].
    pub async fn remove_files(&self, deleted_before: Timestamp) -> Result<Tidied, StoreError> {
        self.perform(move |core| async move { deletion::remove_files(&core, deleted_before).await }).await
    }

    /// See [`configurations::replace`].
    pub async fn replace_configuration(
        &self,
        principal: Principal,
        of: (WorkspaceId, ConfigurationId),
        expected: Expected,
        zip: File,
    ) -> Result<Configuration, ReplaceError> {
        self.perform(move |core| configurations::replace(core.services, principal.workspaces, of, expected, zip)).await
    }

    /// See [`configurations::list`].
    pub async fn list_configuration(
        &self,
        configuration: &Configuration,
    ) -> Result<PackageListing, ReadPackageError<TreeError>> {
        configurations::list(self.services(), configuration).await
    }

    /// See [`configurations::export`].
    pub async fn export_configuration(
        &self,
        configuration: &Configuration,
    ) -> Result<Exported, ReadPackageError<ExportError>> {
        configurations::export(self.services(), configuration).await
    }

    /// See [`packages::ready`].
    pub async fn ready_configuration(&self, configuration: &Configuration) -> Result<(), OpenError> {
        packages::ready(self.services(), configuration).await
    }

    /// See [`configurations::open_file`].
    pub async fn open_configuration_file(
        &self,
        configuration: &Configuration,
        path: PackagePath,
    ) -> Result<(PackageEntry, File), ReadPackageError<EditError>> {
        configurations::open_file(self.services(), configuration, path).await
    }

    /// See [`configuration_edits::edit`]. The caller has found it, and so may see it.
    pub async fn edit_configuration<T: Send + 'static>(
        &self,
        of: (WorkspaceId, ConfigurationId),
        change: impl Fn(&Place) -> Result<T, EditError> + Send + Sync + 'static,
    ) -> Result<(T, Configuration), EditConfigurationError> {
        self.perform(move |core| async move { configuration_edits::edit(&core, of, change).await }).await
    }

    /// See [`configuration_edits::change_status`]. The caller has found it, and so may see it.
    pub async fn change_configuration_status(
        &self,
        of: (WorkspaceId, ConfigurationId),
        transition: Transition,
    ) -> Result<Configuration, TransitionError> {
        self.perform(move |core| async move { configuration_edits::change_status(&core, of, transition).await }).await
    }

    /// See [`configuration_edits::inspect`].
    pub async fn inspect_configuration(&self, configuration: &Configuration) -> Result<Vec<Issue>, TransitionError> {
        configuration_edits::inspect(&self.core, configuration).await
    }

    /// Starts to read a stream. The caller has found its row, and so may see it.
    pub async fn follow(&self, key: StreamKey, start: Start) -> Result<stream::Follow, ReadError> {
        match self.core.registry.send(Follow { key, start }).await {
            Ok(follow) => follow,
            // The service is stopping: a stream without an actor is read from its file.
            Err(_) => reading::follow(&self.core, key, start).await,
        }
    }

    /// Deletes entries of a workspace's feed that are older than `ADE_FEED_RETENTION`, file by file.
    pub async fn expire_feed(&self, workspace_id: WorkspaceId, now: Timestamp) -> Result<Expired, FeedError> {
        let retention = self.settings().log.feed_retention;
        let before = chrono::TimeDelta::from_std(retention).ok().and_then(|age| now.checked_sub_signed(age));
        let Some(before) = before else { return Ok(Expired::default()) };
        self.perform(move |core| async move { core.services.feeds.expire(workspace_id, before).await }).await
    }

    /// Whether the registry's actor answers.
    pub async fn is_responsive(&self) -> bool {
        self.core.registry.send(Ping).await.is_ok()
    }

    /// What is running, and the state of every actor of it; none when the registry does not answer.
    pub async fn observe(&self) -> Option<Observed> {
        self.core.registry.send(Observe).await.ok()
    }

    /// Whether the service is stopping.
    pub fn is_draining(&self) -> bool {
        self.core.services.admission.is_closed()
    }

    /// See [`drain::drain`].
    pub async fn drain(&self, within: Duration) {
        drain::drain(&self.core, within).await;
    }
}
