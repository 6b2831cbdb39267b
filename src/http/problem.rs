//! Every error answer: one table of codes, written as `application/problem+json`.
//!
//! Invariant: a code has one status and one title, here and nowhere else; `docs/ERRORS.md` is this table.
//! An answer of 500 and above never shows internals: they are logged once, under the request's id.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, CacheControl, CacheDirective};
use serde::Serialize;
use serde_json::{Map, Value};

macro_rules! codes {
    ($($variant:ident = $text:literal, $status:literal, $retry:ident, $title:literal, $advice:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $variant),* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The HTTP status, as a number.
            pub fn status_number(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// Whether the same request may succeed later.
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => codes!(@retry $retry)),* }
            }

            /// What happened, in one phrase.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What the caller can do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),* }
            }
        }
    };
    (@retry retry) => { true };
    (@retry never) => { false };
}

codes! {
    BadRequest = "bad_request", 400, never, "Malformed request",
        "Check the request line, the headers and the form of the body.";
    InvalidQuery = "invalid_query", 400, never, "Invalid query parameter",
        "`errors` names the parameter and what is allowed.";
    PathNotAllowed = "path_not_allowed", 400, never, "The path is none of a file in a package",
        "Relative, without `..`, links or control characters, and nothing of version control, environments, caches or builds.";
    SignInNotBegun = "sign_in_not_begun", 400, never, "This browser has no such sign-in on its way",
        "Begin again: `GET /api/v1/session/oidc`. It takes at most ten minutes, in one browser, once.";
    SignInRequired = "sign_in_required", 401, never, "The request shows no key",
        "Send a key as `Authorization: Bearer ...`, or sign in with one by `POST /api/v1/session`.";
    CredentialsRefused = "credentials_refused", 401, never, "The key, session or ticket is not valid",
        "It may be revoked, expired or misspelt; an admin can make a new key.";
    HostNotAllowed = "host_not_allowed", 403, never, "The `Host` is not a loopback name",
        "Use `127.0.0.1`, `[::1]` or `localhost`; the service answers its own machine only.";
    OriginNotAllowed = "origin_not_allowed", 403, never, "The page's origin is not this service",
        "Call from the service's own console, or from a program that sends no `Origin`.";
    SignInRefused = "sign_in_refused", 403, never, "The provider has refused the sign-in",
        "`reason` is its word for it; ask whoever runs the provider.";
    NoGroup = "no_group", 403, never, "None of the person's groups is let in",
        "Ask an admin of this service: `ADE_OIDC_GROUPS` lists the groups that are, and a member of a workspace needs none.";
    RoleRequired = "role_required", 403, never, "The caller's role is not enough",
        "`required_role` names the role that is; an admin can make a key that has it.";
    AllWorkspacesRequired = "all_workspaces_required", 403, never, "The caller's key is bound to workspaces",
        "This concerns more than one workspace; use a key that is for all of them.";
    CsrfTokenRequired = "csrf_token_required", 403, never, "The token of the session is missing or wrong",
        "Send the `csrf_token` of `GET /api/v1/session` as `X-CSRF-Token` with each change.";
    NotAmongAccepters = "not_among_accepters", 403, never, "The document is for others to decide on",
        "`accepted_by` names the roles and keys that may; an admin may too.";
    TicketElsewhere = "ticket_elsewhere", 403, never, "The ticket is for another stream",
        "A ticket opens the events of the one stream that it was made for.";
    OidcOff = "oidc_off", 404, never, "No provider signs people in here",
        "Sign in with a key; `ADE_OIDC_ISSUER` and the settings beside it name a provider.";
    NotFound = "not_found", 404, never, "Resource not found",
        "Check the id and the path; lists show what exists.";
    NoOutput = "no_output", 404, never, "The run has no such output",
        "Read the run's outputs first; a run that failed or only validated has none.";
    MethodNotAllowed = "method_not_allowed", 405, never, "Method not allowed",
        "The `Allow` header lists the methods that the resource supports.";
    SequenceAhead = "sequence_ahead", 409, never, "The start position is ahead of the log",
        "`last_sequence` is the log's end; start at or before it.";
    SlugTaken = "slug_taken", 409, never, "Another workspace has this slug",
        "Choose another slug, or use the workspace that has it.";
    DocumentExists = "document_exists", 409, never, "The scope has a document of this type already",
        "`document_id` names it; `PUT` with its `ETag` as `If-Match` adds a version.";
    WorkflowExists = "workflow_exists", 409, never, "The workspace has a workflow of this id already",
        "`PUT` with its `ETag` as `If-Match` makes a new revision of it.";
    NothingToTrade = "nothing_to_trade", 409, never, "The caller has no key to trade",
        "Where sign-in is off nobody needs a session or a ticket.";
    TooManyKeys = "too_many_keys", 409, never, "There are as many keys as there may be",
        "Revoke those that are not used any more.";
    AlreadyMember = "already_member", 409, never, "It is a member of the workspace already",
        "`PUT` at its own path gives it another role.";
    TooManyMembers = "too_many_members", 409, never, "There are as many members as there may be",
        "One caller is a member of at most 100 workspaces, and there are at most 5,000 members: remove some, or make a key for all workspaces.";
    WorkflowInUse = "workflow_in_use", 409, never, "Executions of the workflow are still running",
        "Wait until they have finished, or cancel them. A new revision needs neither: they keep theirs.";
    DocumentInUse = "document_in_use", 409, never, "Runs of the document have not finished",
        "Wait until they have finished, or cancel them.";
    ConfigurationInUse = "configuration_in_use", 409, never, "Runs or builds of the configuration have not finished",
        "Wait until they have finished, or cancel them.";
    ConfigurationActive = "configuration_active", 409, never, "The configuration is the active one of its workspace",
        "Deactivate it first, or activate another one.";
    ConfigurationNotEditable = "configuration_not_editable", 409, never, "Only a draft can be edited",
        "Clone the configuration and edit the clone; it is a draft.";
    ConfigurationStatusConflict = "configuration_status_conflict", 409, never, "The configuration's status does not allow this",
        "Drafts are published or activated, and only the active one is deactivated.";
    FileExists = "file_exists", 409, never, "Something else has this path",
        "Choose another path; to replace a file, send `overwrite` and its `ETag` as `dest_if_match`.";
    DirectoryNotEmpty = "directory_not_empty", 409, never, "The directory is not empty",
        "Delete what is in it first, or all of it with `recursive=true`.";
    WorkspaceInUse = "workspace_in_use", 409, never, "Work in the workspace has not finished",
        "Wait until it has finished, or cancel it.";
    WorkspaceIsDefault = "workspace_is_default", 409, never, "The workspace is the service's own",
        "Requests that name no workspace mean `local`: it keeps its slug, and is not deleted.";
    StreamsApart = "streams_apart", 409, never, "The streams are on several nodes",
        "Read each on a connection of its own, or together those that one node has.";
    RunNotCancellable = "run_not_cancellable", 409, never, "The run has already finished",
        "There is nothing to cancel; the run says how it ended.";
    BuildNotCancellable = "build_not_cancellable", 409, never, "The build has already finished",
        "There is nothing to cancel; the build says how it ended.";
    ExecutionNotCancellable = "execution_not_cancellable", 409, never, "The execution has already finished",
        "There is nothing to cancel; the execution says how it ended.";
    ExecutionNotEnded = "execution_not_ended", 409, never, "The execution has not finished yet",
        "Wait until it has finished, or cancel it; then it can be retried.";
    ExecutionCompleted = "execution_completed", 409, never, "The execution has completed",
        "There is nothing left to retry; create a new execution.";
    NotWaiting = "not_waiting", 409, never, "No step is waiting for this input",
        "`pending` of the execution lists what it is waiting for.";
    ClarificationAnswered = "clarification_answered", 409, never, "The questions have already been answered differently",
        "Answers are sent once; the execution's steps show them.";
    AcceptanceGiven = "acceptance_given", 409, never, "The document has already been decided on differently",
        "A decision is made once; the execution's events show it.";
    RunNotEnded = "run_not_ended", 409, never, "The run has not finished yet",
        "Wait until it has finished, or cancel it; then it can be retried.";
    IdempotencyKeyReused = "idempotency_key_reused", 409, never, "The idempotency key was used for a different request",
        "Use a new `Idempotency-Key` for each request; a retry must be identical to the original.";
    SafeModeEnabled = "safe_mode_enabled", 409, never, "Safe mode is on: no new work is accepted",
        "Reading still works. `PUT /api/v1/system/safe-mode` turns it off.";
    Gone = "gone", 410, never, "The log was deleted by retention",
        "The resource itself is still there; its events are not.";
    PositionExpired = "position_expired", 410, never, "The events at this position were deleted by retention",
        "`first_sequence` is the oldest event that is left; without a position a reader starts there.";
    PreconditionFailed = "precondition_failed", 412, never, "The resource has changed",
        "Read it again and retry with its current `ETag`.";
    RequestTimeout = "request_timeout", 408, retry, "The request came too slowly",
        "Send its head within `ADE_REQUEST_TIMEOUT`, and its body at 4 KiB a second or more.";
    PayloadTooLarge = "payload_too_large", 413, never, "The body is too large",
        "Send less; `ADE_UPLOAD_MAX_BYTES` is the limit of documents.";
    ArchiveTooLarge = "archive_too_large", 413, never, "The archive is too large",
        "At most 50 MiB packed, 200 MiB unpacked and 5,000 entries.";
    UnsupportedMediaType = "unsupported_media_type", 415, never, "Unsupported media type",
        "Send `application/json`, or `multipart/form-data` where a file is taken.";
    RangeNotSatisfiable = "range_not_satisfiable", 416, never, "Range not satisfiable",
        "`Content-Range` gives the length.";
    InvalidId = "invalid_id", 422, never, "The id is malformed",
        "Ids are a prefix and 26 upper-case characters, such as `run_01J...`.";
    InvalidCursor = "invalid_cursor", 422, never, "The cursor does not belong to this list",
        "Restart without a cursor; path, order, filters and search must stay the same from page to page.";
    TooManyStreams = "too_many_streams", 422, never, "One connection carries at most 100 streams",
        "Request fewer, or read a workspace's feed.";
    InvalidRequest = "invalid_request", 422, never, "Invalid request",
        "`errors` lists each field and what is wrong with it.";
    InputRequired = "input_required", 422, never, "The run needs an input document",
        "Upload a document and name it in `options.document_ids`.";
    InputNotFound = "input_not_found", 422, never, "An input document does not exist here",
        "Documents belong to a workspace; upload it to this one.";
    TemplateUnknown = "template_unknown", 422, never, "Unknown template",
        "Use `default`.";
    InvalidArchive = "invalid_archive", 422, never, "The file is not a zip archive",
        "Send a zip of the configuration's directory.";
    ArchiveEmpty = "archive_empty", 422, never, "The archive has no files",
        "Directories of version control, environments, caches and builds are left out.";
    InvalidPackage = "invalid_package", 422, never, "The archive is not a configuration package",
        "It needs `pyproject.toml` and `src/ade_config/manifest.json`.";
    DocumentUnreadable = "document_unreadable", 422, never, "The document cannot be read as a workbook",
        "Open it in a spreadsheet program and save it again; `detail` says what is wrong.";
    InvalidWorkflow = "invalid_workflow", 422, never, "Invalid workflow definition",
        "`errors` lists every fault and where it is.";
    InvalidInput = "invalid_input", 422, never, "Invalid input for the workflow",
        "`errors` lists each document type that is missing or unknown.";
    InvalidAnswers = "invalid_answers", 422, never, "Invalid answers",
        "`errors` lists each question and what is expected.";
    PreconditionRequired = "precondition_required", 428, never, "The request needs `If-Match`",
        "Read the resource and send its `ETag` as `If-Match`.";
    RateLimited = "rate_limited", 429, retry, "Too many requests",
        "Retry after `Retry-After` seconds; `ADE_RATE_LIMIT` is what each caller may ask for in a second.";
    QueueFull = "queue_full", 429, retry, "The queue is full",
        "Retry after `Retry-After` seconds.";
    TooManySessions = "too_many_sessions", 429, retry, "There are as many sessions and tickets as there may be",
        "Retry after `Retry-After` seconds; sign out where nobody works any more.";
    TooManySubscribers = "too_many_subscribers", 429, retry, "Subscriber limit reached",
        "Retry after `Retry-After` seconds, or raise `ADE_MAX_SUBSCRIBERS`.";
    Internal = "internal", 500, retry, "Internal error",
        "Retry once; then look up `request_id` in the service's log.";
    ArchiveDamaged = "archive_damaged", 500, never, "The archived log is not there as it was stored",
        "Look up `request_id` in the service's log, which names the object; `ade verify --archived` finds all of them.";
    StoredFileDamaged = "stored_file_damaged", 500, never, "The file is not in the object store as it was put there",
        "Look up `request_id` in the service's log, which names the object; an older version of it may be in the bucket.";
    FileElsewhere = "file_elsewhere", 500, never, "The file is in an object store that this service does not use",
        "Start the service with `ADE_FILES=store` and the `ADE_OBJECT_STORE` that it had.";
    ProviderUntrusted = "provider_untrusted", 502, never, "The provider's answer is not to be trusted",
        "Look up `request_id` in the service's log: it says what is wrong with the token or the provider's description.";
    ProviderUnavailable = "provider_unavailable", 503, retry, "The provider does not answer",
        "Retry after `Retry-After` seconds, or sign in with a key.";
    Draining = "draining", 503, retry, "The service is shutting down",
        "Retry after `Retry-After` seconds.";
    BuildsUnavailable = "builds_unavailable", 503, never, "Builds are unavailable",
        "Builds need Python 3.11 or newer with `venv`, and with `ADE_INSTALLER=uv` a uv; `detail` says what is missing.";
    DatabaseUnavailable = "database_unavailable", 503, retry, "The database does not answer",
        "Retry after `Retry-After` seconds; streams and running work continue without it.";
    LogUnavailable = "log_unavailable", 503, retry, "The event log cannot be written",
        "Check the disk; the log is opened again at the next start.";
    ArchiveUnavailable = "archive_unavailable", 503, retry, "The archive does not give the log at present",
        "Retry after `Retry-After` seconds; logs that are on the disk are read on.";
    StoreUnavailable = "store_unavailable", 503, retry, "The object store does not take or give the file at present",
        "Retry after `Retry-After` seconds: nothing was kept of what was sent. What is on the disk is read on.";
    NodeUnreachable = "node_unreachable", 503, retry, "The node that has the work does not answer",
        "Retry after `Retry-After` seconds; `node` is its id. Of a change nothing is known: look whether it was made.";
    OwnerChanged = "owner_changed", 503, retry, "Another node, or another process of it, has the work now",
        "Retry after `Retry-After` seconds.";
    JournalUnavailable = "journal_unavailable", 503, retry, "The cluster that keeps the journal does not answer",
        "Retry after `Retry-After` seconds; reading continues, and running work waits.";
}

impl Code {
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code of an error that came with nothing but a status.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::CredentialsRefused,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            410 => Self::Gone,
            412 => Self::PreconditionFailed,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            416 => Self::RangeNotSatisfiable,
            422 => Self::InvalidRequest,
            428 => Self::PreconditionRequired,
            400..500 => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// How to be let in.
const CHALLENGE: &str = "Bearer realm=\"ade\"";

/// One place of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a key of the body, the name of a parameter; empty for the whole.
    pub path: String,
    pub message: String,
    pub code: String,
}

impl FieldError {
    pub fn new(path: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), code: code.into() }
    }
}

/// An error answer.
#[derive(Debug, Clone)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub errors: Vec<FieldError>,
    /// Further members of the answer.
    pub extra: Map<String, Value>,
    /// Seconds.
    pub retry_after: Option<u32>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        // Every retryable refusal says when to retry.
        let retry_after = matches!(code.status_number(), 429 | 503).then_some(1);
        Self { code, detail: detail.into(), errors: Vec::new(), extra: Map::new(), retry_after }
    }

    /// An internal error: the cause goes to the log and is never shown to the caller.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed");
        Self::new(Code::Internal, Code::Internal.advice())
    }

    /// A 404 for one resource.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} does not exist"))
    }

    /// A 422 for one place of the request.
    pub fn invalid(path: impl Into<String>, allowed: impl Into<String>) -> Self {
        let (path, allowed) = (path.into(), allowed.into());
        Self::new(Code::InvalidRequest, format!("`{path}` must be {allowed}"))
            .error(FieldError::new(path, "invalid", allowed))
    }

    /// As [`Problem::invalid`], of a parameter in the query.
    pub fn invalid_query(name: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { code: Code::InvalidQuery, ..Self::invalid(name, allowed) }
    }

    pub fn sequence_ahead(last_sequence: u64) -> Self {
        let detail = format!("the log ends at sequence {last_sequence}");
        Self::new(Code::SequenceAhead, detail).with("last_sequence", last_sequence)
    }

    pub fn error(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The answer, with what only the request knows.
    pub fn render(&self, instance: Option<&str>, request_id: Option<&str>) -> HttpResponse {
        let mut answer = HttpResponse::build(self.code.status());
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        answer.insert_header(CacheControl(vec![CacheDirective::NoStore]));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            answer.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        if let Some(seconds) = self.retry_after {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        answer.body(self.body(instance, request_id).to_string())
    }

    fn body(&self, instance: Option<&str>, request_id: Option<&str>) -> Value {
        let mut body = serde_json::json!({
            "type": format!("/problems/{}", self.code.as_str()),
            "title": self.code.title(),
            "status": self.code.status_number(),
            "detail": self.detail,
            "instance": instance,
            "code": self.code.as_str(),
            "request_id": request_id,
            "errors": self.errors,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.extra.clone());
        }
        body
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.render(None, None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write as _;

    use super::*;

    const HEAD: &str = "\
# Error codes

Every error answer is `application/problem+json`: `type` (`/problems/<code>`), `title`, `status`, `detail` (what
happened this time), `instance` (the path), `code`, `request_id` (also in the `X-Request-ID` header and in the
service's log) and `errors`, a list of {`path`, `message`, `code`} for each invalid field of the request.
Retryable means that the same request may succeed later. An answer of 500 and above never shows internals.

This page is the table in `src/http/problem.rs`; a test compares the two.

| code | status | retryable | what happened | what to do |
| --- | --- | --- | --- | --- |
";

    fn table() -> String {
        Code::ALL.iter().fold(HEAD.to_owned(), |mut text, code| {
            let retryable = if code.is_retryable() { "yes" } else { "no" };
            let (name, status) = (code.as_str(), code.status_number());
            writeln!(text, "| `{name}` | {status} | {retryable} | {} | {} |", code.title(), code.advice()).unwrap();
            text
        })
    }

    #[test]
    fn the_page_of_error_codes_is_the_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md")).unwrap();
        assert!(page == table(), "docs/ERRORS.md is stale; it should be:\n{}", table());
    }

    #[test]
    fn a_code_has_one_name_and_a_real_error_status() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().is_client_error() || code.status().is_server_error()));
    }

    #[test]
    fn a_problem_carries_every_member_and_its_own() {
        let problem = Problem::sequence_ahead(41).error(FieldError::new("after_sequence", "too_large", "at most 41"));
        let body = problem.body(Some("/api/v1/runs/x/events"), Some("r1"));
        let expected = serde_json::json!({
            "type": "/problems/sequence_ahead", "title": "The start position is ahead of the log", "status": 409,
            "detail": "the log ends at sequence 41", "instance": "/api/v1/runs/x/events", "code": "sequence_ahead",
            "request_id": "r1", "last_sequence": 41,
            "errors": [{"path": "after_sequence", "message": "at most 41", "code": "too_large"}],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn who_is_refused_for_now_learns_when_to_come_back() {
        for code in [Code::Draining, Code::TooManySubscribers, Code::QueueFull] {
            let answer = Problem::new(code, "busy").retry_after(7).render(None, None);
            assert_eq!(answer.headers().get(header::RETRY_AFTER).unwrap(), "7");
            assert!(Problem::new(code, "busy").render(None, None).headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[test]
    fn an_internal_problem_does_not_tell_its_cause() {
        let body = Problem::internal("password is hunter2").body(None, None).to_string();
        assert!(!body.contains("hunter2"), "{body}");
    }
}
