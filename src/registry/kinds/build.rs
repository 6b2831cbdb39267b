//! Builds: one at a time for a configuration, joined by everything that wants the same venv.

use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;

use super::Ports;
use crate::domain::build::{Build, BuildState};
use crate::domain::failure::BuildErrorCode;
use crate::domain::principal::Scope;
use crate::domain::status::BuildStatus;
use crate::domain::work::Work as _;
use crate::event::payload::Caller;
use crate::event::payload::build::{BUILD_CREATED, Created};
use crate::event::{Draft, Identity, Source};
use crate::registry::core::Core;
use crate::registry::error::LaunchError;
use crate::registry::kind::{Assignment, Cause, Next, Sessions, WorkKind};
use crate::registry::slot::{BuildInterest, InFlight};
use crate::stream::{StreamHandle, Tail};
use crate::supervision::Policy;
use crate::worker::venv::{BuildJob, BuildPorts, EngineId, QueuePlace, conclude_build, drive, end_of_build};

pub struct BuildStart {
    /// As it was when the build was asked for.
    pub engine: EngineId,
    /// Among the builds of its configuration.
    pub place: QueuePlace,
    pub interest: Weak<BuildInterest>,
}

impl WorkKind for Build {
    type Start = BuildStart;
    type Place = ();

    /// A build that has failed is built again for the next caller that asks.
    const RESTARTS: Policy = Policy::Never;

    fn identity(&self) -> Identity {
        Identity::new(self.stream_key(), self.configuration_id)
    }

    fn opening(&self, _: Option<&Caller>) -> Option<Draft> {
        Some(created(self))
    }

    fn sessions(core: &Core, assignment: Assignment<Self>, start: BuildStart) -> Sessions {
        let Assignment { work, stream, signal, stage, span, .. } = assignment;
        let mut job = Some(BuildJob {
            build: work,
            engine: start.engine,
            stream,
            signal,
            stage,
            span,
            place: start.place,
            gate: core.services.capacity.gate().clone(),
            ports: Arc::new(Ports(core.clone())),
            context: core.services.work.clone(),
        });
        Box::new(move |_| Box::pin(drive(job.take().expect("a build is never restarted"))))
    }

    fn joinable(&self, stream: &StreamHandle, start: &BuildStart) -> Option<InFlight> {
        Some(InFlight { build: self.clone(), stream: stream.clone(), interest: start.interest.clone() })
    }

    async fn conclude(&self, core: &Core, stream: &StreamHandle, cause: Cause, message: &str) -> BuildState {
        let code = match cause {
            Cause::Orchestration => BuildErrorCode::OrchestrationError,
            Cause::Interrupted => BuildErrorCode::Interrupted,
        };
        // A build's log begins with what it is made from, also when it was destroyed.
        if stream.tail().sequence == 0
            && let Err(error) = stream.append_one(created(self)).await
        {
            tracing::error!(build = %self.id, %error, "failed to append build.created");
        }
        conclude_build(&core.services.work, self, stream, code, message).await
    }

    async fn terminal_event(&self, _: &StreamHandle) -> Draft {
        end_of_build(self)
    }

    fn enlist_again(&self, _: &Core) {}

    async fn after_crash(&self, _: &Core, _: Option<&[u8]>, (): ()) -> Result<Next<BuildStart>, LaunchError> {
        Ok(Next::End { cause: Cause::Interrupted, message: super::INTERRUPTED })
    }

    /// When it has become active, its configuration points to it.
    async fn finished(&self, core: &Core) {
        let (store, scope) = (&core.services.store, Scope::Only(vec![self.workspace_id]));
        let Ok(Some(row)) = store.find::<Build>(&scope, self.id).await else { return };
        if row.state.status != BuildStatus::Active {
            return;
        }
        let pointed = store.set_active_build(self.workspace_id, self.configuration_id, self.id).await;
        if let Err(error) = pointed {
            tracing::warn!(build = %self.id, %error, "configuration could not be pointed at its build");
        }
    }
}

pub fn created(build: &Build) -> Draft {
    let payload = Created {
        reason: build.reason,
        should_build: build.reused_build_id.is_none(),
        engine_spec: build.inputs.engine_spec.clone(),
        engine_version_hint: build.inputs.engine_version_hint.clone(),
        python_bin: build.inputs.python_interpreter.clone(),
        fingerprint: build.inputs.fingerprint.clone(),
    };
    Draft::new(BUILD_CREATED, Source::Builder, &payload).of_build(build.id)
}

impl BuildPorts for Ports {
    fn record_end(&self, build: &Build, state: BuildState, log: Tail) -> BoxFuture<'static, ()> {
        let (core, workspace_id, id) = (self.0.clone(), build.workspace_id, build.id);
        Box::pin(async move { core.record_end::<Build>(workspace_id, id, state, log).await })
    }
}
