//! Cancelling work of any kind.

use std::time::Duration;

use super::core::Core;
use super::error::CancelError;
use super::kind::WorkKind;
use super::reading;
use crate::domain::principal::Scope;
use crate::domain::work::Status;
use crate::worker::actor::Cancel;

/// For work whose session has just died to be given its end.
const ITS_END: Duration = Duration::from_secs(10);

/// Until work that is being created is registered.
const A_MOMENT: Duration = Duration::from_millis(200);

/// True when this call made it end; false when it was cancelled or being cancelled already. Of kinds whose callers wait
/// for the end ([`WorkKind::CANCEL_WAIT`]), a caller that hears so finds it cancelled after any crash.
pub async fn cancel<W: WorkKind>(
    core: Core,
    scope: Scope,
    id: W::Id,
    cancel: Cancel,
) -> Result<bool, CancelError<W::Status>> {
    match once::<W>(&core, &scope, id, &cancel).await {
        Err(CancelError::Draining) if !core.services.admission.is_closed() => {
            tokio::time::sleep(A_MOMENT).await;
            once::<W>(&core, &scope, id, &cancel).await
        }
        outcome => outcome,
    }
}

async fn once<W: WorkKind>(
    core: &Core,
    scope: &Scope,
    id: W::Id,
    cancel: &Cancel,
) -> Result<bool, CancelError<W::Status>> {
    let work = core.services.store.find::<W>(scope, id).await?.ok_or(CancelError::NotFound)?;
    let mut took_effect = false;
    if let Some(entry) = core.find(work.stream_key()).await
        && !entry.stream.tail().closed
    {
        let asked = entry.cancel(cancel).await;
        match (asked, W::CANCEL_WAIT) {
            (Ok(first), None) => return Ok(first),
            (Ok(first), Some(_)) => took_effect = first,
            (Err(_gone), _) => {}
        }
        if tokio::time::timeout(W::CANCEL_WAIT.unwrap_or(ITS_END), entry.settled()).await.is_err() {
            tracing::warn!(kind = W::KIND.as_str(), %id, "cancelled work is still ending");
        }
    }
    // It ended meanwhile: the row, once settled, knows how.
    let work = reading::settled::<W>(core, scope, id).await?.ok_or(CancelError::NotFound)?;
    match work.status() {
        status if status == W::Status::CANCELLED => Ok(took_effect),
        status if status.is_terminal() => Err(CancelError::Ended(status)),
        _ => Err(CancelError::Draining),
    }
}
