//! Requests that change something leave an entry in the audit log, whatever comes of them.
//!
//! Law: the entry is on the disk before the answer leaves. Of a client that hangs up there is an entry too, since what it has
//! asked for goes on without it. Who was not let in has changed nothing, and leaves none.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use chrono::Utc;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::auth::Decision;
use super::middleware::RequestId;
use super::peer::Client;
use super::problem::{Code, Problem};
use crate::audit::{Actor, AuditError, AuditLog, Record};
use crate::domain::principal::Principal;
use crate::domain::time::micros;

/// Of a request whose client had hung up before there was an answer.
const GONE: u16 = 499;

/// Refuses every change while entries cannot be written. What came of one goes along with its answer, for
/// [`write_entry`].
pub async fn audited(
    log: web::Data<AuditLog>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let record = if request.method().is_safe() { None } else { record_of(&request) };
    let Some(record) = record else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    ready(&log).await?;
    let mut pending = Pending { log: log.get_ref().clone(), record: Some(record) };
    match next.call(request).await {
        Ok(mut response) => {
            pending.answered(response.status());
            response.response_mut().extensions_mut().insert(pending);
            Ok(response.map_into_boxed_body())
        }
        Err(error) => {
            pending.answered(error.as_response_error().status_code());
            written(pending).await;
            Err(error)
        }
    }
}

/// Holds an answer back until its entry is on the disk. This is outside of what gives up a request whose key is revoked:
/// who revokes its own is told so.
pub async fn write_entry<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let pending = response.response_mut().extensions_mut().remove::<Pending>();
    if let Some(pending) = pending {
        written(pending).await;
    }
    Ok(response)
}

async fn written(mut pending: Pending) {
    if let Some(writing) = pending.write() {
        let _ = writing.await;
    }
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
    fn answered(&mut self, status: StatusCode) {
        if let Some(record) = &mut self.record {
            record.status = status.as_u16();
        }
    }

    /// Goes on when nobody waits for it any more. What was changed is changed: of a failure the log itself has said with
    /// which entry. None when the process is at its end, as a request is that is dropped then.
    fn write(&mut self) -> Option<JoinHandle<Result<(), AuditError>>> {
        let (log, record) = (self.log.clone(), self.record.take()?);
        Some(Handle::try_current().ok()?.spawn(async move { log.record(record).await }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        drop(self.write());
    }
}

#[cfg(test)]
mod tests {
    use actix_web::dev::Service as _;
    use actix_web::http::Method;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service};
    use actix_web::{App, HttpResponse};

    use super::*;
    use crate::access::book::Admitted;

    async fn entries(log: &AuditLog) -> Vec<(String, u16)> {
        let page = log.page(0, 10).await.unwrap();
        page.items.into_iter().map(|entry| (entry.record.path, entry.record.status)).collect()
    }

    fn request(method: Method, path: &str) -> actix_http::Request {
        let request = TestRequest::default().method(method).uri(path).to_request();
        request.extensions_mut().insert(Decision(Ok(Admitted::local())));
        request
    }

    #[actix_web::test]
    async fn a_change_is_on_the_disk_before_its_answer_and_also_when_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        let app = App::new()
            .app_data(web::Data::new(log.clone()))
            .wrap(from_fn(audited))
            .wrap(from_fn(write_entry))
            .route("/made", web::post().to(HttpResponse::Created))
            .route("/read", web::get().to(HttpResponse::Ok))
            .route("/slow", web::post().to(std::future::pending::<HttpResponse>));
        let app = init_service(app).await;
        app.call(request(Method::POST, "/made")).await.unwrap();
        assert_eq!(entries(&log).await, [("/made".to_owned(), 201)]);
        app.call(request(Method::GET, "/read")).await.unwrap();
        let mut slow = Box::pin(app.call(request(Method::POST, "/slow")));
        assert!(futures_util::poll!(slow.as_mut()).is_pending());
        drop(slow);
        let both = [("/made".to_owned(), 201), ("/slow".to_owned(), GONE)];
        tokio::time::timeout(std::time::Duration::from_secs(60), async {
            while entries(&log).await != both {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
