//! What works on it: a session that counts on from where its log ends.

use chrono::Utc;
use serde_json::{Value, json};

use super::{COMPLETED, COUNTED, Completed, FAILED, Failure, Probe, ProbeId, ProbeState, ProbeStatus, STARTED, Then};
use crate::domain::id::NodeId;
use crate::domain::principal::Principal;
use crate::domain::status::LogState;
use crate::domain::time::micros;
use crate::domain::work::Work as _;
use crate::domain::{DocumentId, WorkspaceId};
use crate::event::payload::Caller;
use crate::event::{Draft, Identity, Source};
use crate::registry::core::Core;
use crate::registry::error::{CreateError, LaunchError};
use crate::registry::kind::{Assignment, Cause, Creatable, Next, Sessions, WorkKind};
use crate::stream::StreamHandle;
use crate::supervision::Policy;
use crate::worker::actor::Outcome;
use crate::worker::stop::StopReason;

fn completed(status: ProbeStatus) -> Draft {
    let failure = (status == ProbeStatus::Failed).then(|| Failure { code: FAILED.into() });
    Draft::new(COMPLETED, Source::Api, &Completed { status, failure })
}

impl WorkKind for Probe {
    type Start = ();
    type Place = ();

    const RESTARTS: Policy = Policy::Never;

    fn identity(&self) -> Identity {
        Identity::of_work(self.stream_key())
    }

    fn opening(&self, _: Option<&Caller>) -> Option<Draft> {
        Some(Draft::new(STARTED, Source::Api, &json!({"target": self.target})))
    }

    fn sessions(_: &Core, assignment: Assignment<Self>, (): ()) -> Sessions {
        let Assignment { work, stream, mut signal, .. } = assignment;
        let mut job = Some(async move {
            // Its first event is the start.
            for number in stream.tail().sequence.max(1)..=work.target {
                let counted = Draft::new(COUNTED, Source::Api, &json!({"number": number}));
                stream.append_one(counted).await.expect("its log takes it");
            }
            let status = match work.then {
                Then::Ends => ProbeStatus::Succeeded,
                Then::Panics => panic!("as it was asked to"),
                Then::WaitsForCancel => match signal.stopped().await {
                    StopReason::Cancel { .. } => ProbeStatus::Cancelled,
                    StopReason::Interrupt => return Outcome::Suspended,
                },
            };
            stream.append_one(completed(status)).await.expect("its log takes it");
            Outcome::Ended
        });
        Box::new(move |_| Box::pin(job.take().expect("it is never restarted")))
    }

    async fn conclude(&self, _: &Core, stream: &StreamHandle, _: Cause, _: &str) -> ProbeState {
        let _ = stream.append_one(completed(ProbeStatus::Failed)).await;
        ProbeState {
            status: ProbeStatus::Failed,
            completed_at: Some(micros(Utc::now())),
            counted: stream.tail().sequence.saturating_sub(2),
        }
    }

    async fn terminal_event(&self, _: &StreamHandle) -> Draft {
        completed(self.state.status)
    }

    fn enlist_again(&self, _: &Core) {}

    async fn after_crash(&self, _: &Core, _: Option<&[u8]>, (): ()) -> Result<Next<()>, LaunchError> {
        Ok(Next::GoOn(()))
    }
}

pub struct NewProbe {
    pub workspace_id: WorkspaceId,
    pub target: u64,
    pub then: Then,
}

#[derive(Debug, thiserror::Error)]
#[error("there is nothing to count")]
pub struct Nothing;

impl Creatable for Probe {
    type New = NewProbe;
    type Refusal = Nothing;
    type RetryRefusal = std::convert::Infallible;
    type Wanted = NewProbe;
    type Checked = ();

    async fn wanted(_: &Core, _: &Principal, new: NewProbe) -> Result<(NewProbe, Value), CreateError<Nothing>> {
        let request = json!({"target": new.target, "then": new.then});
        Ok((new, request))
    }

    async fn wanted_again(self, _: &Core) -> Result<NewProbe, Self::RetryRefusal> {
        Ok(NewProbe { workspace_id: self.workspace_id, target: self.target, then: self.then })
    }

    async fn check(_: &Core, wanted: &NewProbe) -> Result<(), CreateError<Nothing>> {
        if wanted.target == 0 { Err(CreateError::Refused(Nothing)) } else { Ok(()) }
    }

    fn reserve(_: &Core, _: &NewProbe, (): ()) -> Result<(), Nothing> {
        Ok(())
    }

    fn made(wanted: NewProbe, _: &Principal, node_id: NodeId) -> Self {
        Self {
            id: ProbeId::generate(),
            workspace_id: wanted.workspace_id,
            target: wanted.target,
            then: wanted.then,
            node_id,
            created_at: micros(Utc::now()),
            log_degraded: false,
            durable_bytes: None,
            log_state: LogState::default(),
            last_sequence: 1,
            state: ProbeState::default(),
        }
    }

    fn origin_gone(_: Option<DocumentId>) -> Nothing {
        Nothing
    }

    fn into_created(self) -> Self {
        Self { last_sequence: 1, state: ProbeState::default(), ..self }
    }
}
