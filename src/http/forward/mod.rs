//! Any node takes any request: those about work that another one has go to that one.
//!
//! Law: a request is passed on once at most, to the owner that the row of the work names and to nobody else, and only for a
//! caller who may see the work; of all others the handler here says that there is none. It is counted, and limited, where the client
//! asked, and written to the audit log where it is carried out. Of a node without a cluster nothing of this exists.
//!
//! What a copy of the log can answer as well is answered here, where that has what the caller says to have seen.

mod route;
mod envelope;
mod replay;
mod peers;
mod accept;
mod pass;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage as _, web};

pub use accept::{Forwarded, accept};
pub use peers::Peers;
pub use route::is_listed;

use pass::{pass_on, unreachable};
use route::{About, Needs, about};

use super::auth::Decision;
use super::cursor::claimed;
use super::pace::{RequestTime, at_pace};
use super::problem::{Code, Problem};
use super::query::RawQuery;
use crate::access::book::Admitted;
use crate::cluster::Peer;
use crate::domain::id::NodeId;
use crate::domain::principal::Scope;
use crate::domain::{StreamId, WorkspaceId};
use crate::registry::RegistryHandle;
use crate::store::StoreError;

/// Passes on what another node has to answer.
pub async fn forward(
    peers: web::Data<Option<Peers>>,
    registry: web::Data<RegistryHandle>,
    time: web::Data<RequestTime>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Some(peers) = &**peers
        && let Some(there) = there(peers, &registry, &request).await?
    {
        return elsewhere(peers, there, **time, request, next).await;
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Who answers a request that is not answered here.
struct There {
    /// None that was never seen.
    peer: Option<Peer>,
    node: NodeId,
    caller: Admitted,
    needs: Needs,
}

async fn there(peers: &Peers, registry: &RegistryHandle, request: &ServiceRequest) -> Result<Option<There>, Problem> {
    let Some(caller) = caller(request) else { return Ok(None) };
    let Some(about) = about(request.method(), request.path()) else { return Ok(None) };
    let scope = caller.reader().workspaces;
    let (owner, needs) = match about {
        About::One(id, needs) => (owner(registry, &scope, request, id, needs).await?, needs),
        About::Many(needs) => (owner_of_all(registry, &scope, request, needs).await?, needs),
    };
    let Some(node) = owner else { return Ok(None) };
    if request.extensions().get::<Forwarded>().is_some() {
        return Err(Problem::new(Code::OwnerChanged, "another node has the work now").with("node", node.to_string()));
    }
    Ok(Some(There { peer: peers.nodes.peer(node), node, caller, needs }))
}

/// Somebody who was let in.
fn caller(request: &ServiceRequest) -> Option<Admitted> {
    request.extensions().get::<Decision>().and_then(|Decision(outcome)| outcome.clone().ok())
}

/// The other node that has to answer; none when this one can, or when there is nothing that the caller may see.
async fn owner(
    registry: &RegistryHandle,
    scope: &Scope,
    request: &ServiceRequest,
    id: StreamId,
    needs: Needs,
) -> Result<Option<NodeId>, StoreError> {
    if let Ok(workspace_id) = id.try_into() {
        return owner_of_feed(registry, scope, workspace_id).await;
    }
    let Some(owned) = registry.store().owner(scope, id).await? else { return Ok(None) };
    let is_here = owned.by == registry.nodes().own_id()
        || needs.only_at_work && owned.has_ended
        || needs.takes_replica && registry.is_here(owned.key, claimed(request.request(), id)).await;
    Ok((!is_here).then_some(owned.by))
}

/// The other node that writes the feed of a workspace.
async fn owner_of_feed(
    registry: &RegistryHandle,
    scope: &Scope,
    workspace_id: WorkspaceId,
) -> Result<Option<NodeId>, StoreError> {
    if registry.store().find_workspace(scope, workspace_id).await?.is_none() {
        return Ok(None);
    }
    let owner = registry.feed_owner(workspace_id).await?;
    Ok((owner != registry.nodes().own_id()).then_some(owner))
}

/// Of several streams: one node has to be able to answer for all of them. What this one has a copy of, the other one is taken to
/// have too.
async fn owner_of_all(
    registry: &RegistryHandle,
    scope: &Scope,
    request: &ServiceRequest,
    needs: Needs,
) -> Result<Option<NodeId>, Problem> {
    let (mut owners, mut has_own_feed) = (Vec::new(), false);
    for id in streams(request) {
        let owner = owner(registry, scope, request, id, needs).await?;
        has_own_feed |= owner.is_none() && WorkspaceId::try_from(id).is_ok();
        owners.extend(owner.filter(|owner| !owners.contains(owner)));
    }
    match owners[..] {
        [] => Ok(None),
        [owner] if !has_own_feed => Ok(Some(owner)),
        _ => Err(Problem::new(Code::StreamsApart, "the streams are on several nodes")),
    }
}

/// None of a query that the handler refuses.
fn streams(request: &ServiceRequest) -> Vec<StreamId> {
    /// More than the handler takes.
    const MOST: usize = 101;
    let named = RawQuery::parse(request.query_string()).map(|mut query| query.take_all("stream")).unwrap_or_default();
    let ids: Option<Vec<_>> = named.iter().take(MOST).map(|text| StreamId::parse(text)).collect();
    ids.filter(|ids| ids.len() < MOST).unwrap_or_default()
}

async fn elsewhere(
    peers: &Peers,
    there: There,
    time: RequestTime,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let There { peer, node, caller, needs } = there;
    let body = body(&mut request, time).await?;
    let answer = match &peer {
        Some(peer) => pass_on(peers, peer, &caller, &request, body).await,
        None => Err(unreachable(node)),
    };
    match answer {
        Ok(answer) => Ok(request.into_response(answer)),
        Err(problem) if needs.otherwise_here => {
            let answer = next.call(request).await?.map_into_boxed_body();
            // What is not here is not for that nowhere.
            let is_enough = answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED;
            if is_enough { Ok(answer) } else { Err(problem.into()) }
        }
        Err(problem) => Err(problem.into()),
    }
}

/// All of it: it is short, and signed. It may come no more slowly than it may elsewhere.
async fn body(request: &mut ServiceRequest, time: RequestTime) -> Result<Bytes, Error> {
    let Some(pace) = at_pace(request, time) else { return Ok(Bytes::new()) };
    let body = request.extract::<Bytes>().await;
    if pace.is_late() {
        return Err(Problem::new(Code::RequestTimeout, "the body came too slowly").into());
    }
    body
}
