//! Creating work of any kind that callers ask for, and new attempts of work that has ended.
//!
//! Laws. Everything that can refuse work is asked before its row is stored. Work whose row is stored is started, or the
//! row is removed before the caller hears that it failed. Under one key of a caller there is one piece of work of a kind.

use chrono::Utc;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::admission::Admitted;
use super::core::Core;
use super::error::CreateError;
use super::kind::Creatable;
use super::launch::{insert, launch, roll_back};
use super::reading;
use crate::domain::idempotency::{Claim, IdempotencyKey, LIFETIME};
use crate::domain::principal::Principal;
use crate::domain::time::micros;
use crate::event::payload::Caller;
use crate::store::InsertError;
use crate::trace::Origin;

/// Work as it was when it had been created.
#[derive(Debug, Clone)]
pub struct Created<W> {
    pub work: W,
    /// It was created by an earlier request under the same key.
    pub replayed: bool,
}

/// Work was not tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError<W: Creatable> {
    #[error("there is no such {}", W::KIND.as_str())]
    NotFound,
    #[error("it has not ended")]
    NotEnded(W::Status),
    /// For a reason of its kind.
    #[error(transparent)]
    Refused(W::RetryRefusal),
    #[error(transparent)]
    Create(#[from] CreateError<W::Refusal>),
}

type Outcome<W> = Result<Created<W>, CreateError<<W as Creatable>::Refusal>>;

pub async fn create<W: Creatable>(
    core: Core,
    principal: Principal,
    new: W::New,
    key: Option<IdempotencyKey>,
    origin: Origin,
) -> Outcome<W> {
    let (wanted, request) = W::wanted(&core, &principal, new).await?;
    once(&core, &principal, wanted, key.map(|key| claim(&principal, key, &request)), origin).await
}

/// New work with the options of work that has ended.
pub async fn retry<W: Creatable>(
    core: Core,
    principal: Principal,
    id: W::Id,
    key: Option<IdempotencyKey>,
    origin: Origin,
) -> Result<Created<W>, RetryError<W>> {
    let found = reading::settled::<W>(&core, &principal.workspaces, id).await.map_err(CreateError::from)?;
    let of = found.ok_or(RetryError::NotFound)?;
    if !of.has_ended() {
        return Err(RetryError::NotEnded(of.status()));
    }
    let wanted = of.wanted_again(&core).await.map_err(RetryError::Refused)?;
    let claim = key.map(|key| claim(&principal, key, &json!({"retry": id.to_string()})));
    Ok(once(&core, &principal, wanted, claim, origin).await?)
}

fn claim(principal: &Principal, key: IdempotencyKey, request: &Value) -> Claim {
    let request_digest = format!("{:x}", Sha256::digest(request.to_string()));
    Claim { caller: principal.identity(), key, request_digest }
}

async fn once<W: Creatable>(
    core: &Core,
    principal: &Principal,
    wanted: W::Wanted,
    claim: Option<Claim>,
    origin: Origin,
) -> Outcome<W> {
    let created = |work| Created { work, replayed: false };
    let Some(claim) = claim else { return start(core, principal, wanted, None, origin).await.map(created) };
    let _locked = core.services.idempotency_locks.lock((&claim.caller, &claim.key)).await;
    if let Some(created) = replay(core, principal, &claim).await? {
        return Ok(created);
    }
    match start(core, principal, wanted, Some(&claim), origin).await {
        // Another service on this database was quicker.
        Err(CreateError::KeyReused) => replay(core, principal, &claim).await?.ok_or(CreateError::KeyReused),
        started => started.map(created),
    }
}

/// What the key has made already.
async fn replay<W: Creatable>(
    core: &Core,
    principal: &Principal,
    claim: &Claim,
) -> Result<Option<Created<W>>, CreateError<W::Refusal>> {
    let store = &core.services.store;
    let found = store.find_claim::<W>(claim, micros(Utc::now()) - LIFETIME).await?;
    let Some((request_digest, id)) = found else { return Ok(None) };
    if request_digest != claim.request_digest {
        return Err(CreateError::KeyReused);
    }
    let found = store.find::<W>(&principal.workspaces, id).await?;
    Ok(found.map(|work| Created { work: work.into_created(), replayed: true }))
}

async fn start<W: Creatable>(
    core: &Core,
    principal: &Principal,
    wanted: W::Wanted,
    claim: Option<&Claim>,
    origin: Origin,
) -> Result<W, CreateError<W::Refusal>> {
    let checked = W::check(core, &wanted).await?;
    let _admitted = admit(core).await?;
    let start = W::reserve(core, &wanted, checked).map_err(CreateError::Refused)?;
    let work = W::made(wanted, principal, core.services.node_id);
    match insert(core, &work, claim).await {
        Ok(()) => {}
        Err(InsertError::KeyTaken) => return Err(CreateError::KeyReused),
        Err(InsertError::OriginGone) => return Err(CreateError::Refused(W::origin_gone(None))),
        Err(InsertError::DocumentGone(id)) => return Err(CreateError::Refused(W::origin_gone(Some(id)))),
        Err(InsertError::Store(error)) => return Err(error.into()),
    }
    match launch(core, work.clone(), start, Some(Caller::from(principal)), origin).await {
        Ok(_) => Ok(work.into_created()),
        Err(error) => {
            roll_back(core, &work).await;
            Err(error.into())
        }
    }
}

async fn admit<R: std::error::Error>(core: &Core) -> Result<Admitted, CreateError<R>> {
    if let Some(safe_mode) = core.services.safe_mode.refusal() {
        return Err(CreateError::SafeMode(safe_mode));
    }
    if let Some(why) = core.services.log.journal_state().trouble() {
        return Err(CreateError::Journal(why));
    }
    core.services.admission.enter().await.ok_or(CreateError::Draining)
}
