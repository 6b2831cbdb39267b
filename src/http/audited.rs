//! Requests that change something leave an entry in the audit log, whatever comes of them.
//!
//! Law: the entry is on the disk before the answer leaves. Of a client that hangs up there is an entry too, since what it has
//! asked for goes on without it. Who was not let in has changed nothing, and leaves none.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, rt, web};
use chrono::Utc;

use super::auth::Decision;
use super::middleware::RequestId;
use super::peer::Client;
use super::problem::{Code, Problem};
use crate::audit::{Actor, AuditLog, Record};
use crate::domain::principal::Principal;
use crate::domain::time::micros;

/// Of a request whose client had hung up before there was an answer.
const GONE: u16 = 499;

/// Refuses every change while entries cannot be written.
pub async fn audited(
    log: web::Data<AuditLog>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let record = if request.method().is_safe() { None } else { record_of(&request) };
    let Some(record) = record else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    ready(&log).await?;
    let mut pending = Pending { log: log.get_ref().clone(), record: Some(record) };
    let answer = next.call(request).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    pending.finish(status.as_u16()).await;
    Ok(answer?.map_into_boxed_body())
}

/// Of a sign-in that is a `GET`, since a provider sends browsers back by one. `ready` comes before it, as with others.
pub async fn audit_sign_in(log: &AuditLog, request: &HttpRequest, person: &Principal) {
    // What was changed is changed. The log has said that it failed, and with which entry.
    let _ = log.record(Record { status: StatusCode::SEE_OTHER.as_u16(), ..record(request, person) }).await;
}

/// Refuses a change while entries cannot be written.
pub async fn ready(log: &AuditLog) -> Result<(), Problem> {
    log.ready().await.map_err(|error| Problem::new(Code::LogUnavailable, error.to_string()))
}

fn record_of(request: &ServiceRequest) -> Option<Record> {
    let decision = request.extensions().get::<Decision>().cloned()?;
    Some(record(request.request(), &decision.0.ok()?.principal))
}

fn record(request: &HttpRequest, principal: &Principal) -> Record {
    let extensions = request.extensions();
    let address = extensions.get::<Client>().and_then(|client| client.address);
    Record {
        at: micros(Utc::now()),
        request_id: extensions.get::<RequestId>().map_or_else(String::new, |RequestId(id)| id.clone()),
        actor: actor(principal),
        address: address.map(|address| address.to_string()),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        status: GONE,
    }
}

fn actor(principal: &Principal) -> Actor {
    let (issuer, subject) = principal.person().cloned().map(|it| (it.issuer, it.subject)).unzip();
    Actor {
        name: principal.name.clone(),
        key_id: principal.key_id().map(|id| id.to_string()),
        issuer,
        subject,
        role: principal.role.as_str().to_owned(),
    }
}

/// Writes the entry when it is dropped, if that has not been done.
struct Pending {
    log: AuditLog,
    record: Option<Record>,
}

impl Pending {
    async fn finish(&mut self, status: u16) {
        if let Some(record) = self.record.take() {
            // What was changed is changed. The log has said that it failed, and with which entry.
            let _ = self.log.record(Record { status, ..record }).await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let log = self.log.clone();
            rt::spawn(async move { log.record(record).await });
        }
    }
}
