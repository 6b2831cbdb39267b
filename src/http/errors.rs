//! Errors of the operations below as problems: one exhaustive mapping each.

use super::problem::{Code, FieldError, Problem};
use crate::depot::{OpenError, PutError};
use crate::domain::StreamKind;
use crate::domain::execution::Execution;
use crate::domain::run::Run;
use crate::domain::sequence::NoPosition;
use crate::log::OpenReaderError;
use crate::package::{EditError, ImportError, InvalidPath, TemplateError};
use crate::registry::RetryError;
use crate::registry::additions::OriginError;
use crate::registry::configuration_edits::{EditConfigurationError, TransitionError};
use crate::registry::configurations::{DigestError, ReadPackageError, ReplaceError};
use crate::registry::error::{
    AnswerExecutionError, CancelError, CreateError, EnsureBuildError, ExecutionRefusal, ExecutionRetryRefusal,
    LaunchError, ReadError, RunRefusal,
};
use crate::store::{
    ChangeDocumentError, ChangeWorkspaceError, CreateDocumentError, DeleteError, DeleteWorkflowError,
    InsertWorkflowError, InsertWorkspaceError, ReplaceWorkflowError, StoreError,
};
use crate::stream::{AppendError, SubscribeError};
use crate::workbook::SheetsError;
use crate::workflow::Fault;
use crate::workflow::user_input::Refusal;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unreachable() {
            tracing::error!(error = ?error, "database unreachable");
            return Self::new(Code::DatabaseUnavailable, Code::DatabaseUnavailable.advice());
        }
        Self::internal(error)
    }
}

impl From<InsertWorkspaceError> for Problem {
    fn from(error: InsertWorkspaceError) -> Self {
        match error {
            InsertWorkspaceError::SlugTaken => Self::new(Code::SlugTaken, "another workspace has this slug"),
            InsertWorkspaceError::Store(error) => error.into(),
        }
    }
}

impl From<CreateDocumentError> for Problem {
    fn from(error: CreateDocumentError) -> Self {
        match error {
            CreateDocumentError::Exists { id } => {
                Self::new(Code::DocumentExists, error.to_string()).with("document_id", id.to_string())
            }
            CreateDocumentError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeDocumentError> for Problem {
    fn from(error: ChangeDocumentError) -> Self {
        match error {
            ChangeDocumentError::NotFound => Self::not_found("the document"),
            ChangeDocumentError::Stale { current } => {
                Self::new(Code::PreconditionFailed, error.to_string()).with("current_version", current)
            }
            ChangeDocumentError::Store(error) => error.into(),
        }
    }
}

impl From<InsertWorkflowError> for Problem {
    fn from(error: InsertWorkflowError) -> Self {
        match error {
            InsertWorkflowError::Exists => Self::new(Code::WorkflowExists, error.to_string()),
            InsertWorkflowError::Store(error) => error.into(),
        }
    }
}

impl From<ReplaceWorkflowError> for Problem {
    fn from(error: ReplaceWorkflowError) -> Self {
        match error {
            ReplaceWorkflowError::NotFound => Self::not_found("the workflow"),
            ReplaceWorkflowError::Stale { current } => {
                Self::new(Code::PreconditionFailed, error.to_string()).with("current_revision", current)
            }
            ReplaceWorkflowError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteWorkflowError> for Problem {
    fn from(error: DeleteWorkflowError) -> Self {
        match error {
            DeleteWorkflowError::NotFound => Self::not_found("the workflow"),
            DeleteWorkflowError::InUse { active } => {
                Self::new(Code::WorkflowInUse, error.to_string()).with("active_executions", active)
            }
            DeleteWorkflowError::Store(error) => error.into(),
        }
    }
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Store(error) => error.into(),
            LaunchError::Stream(error) => {
                tracing::error!(error = %error, "failed to open stream");
                Self::new(Code::LogUnavailable, Code::LogUnavailable.advice())
            }
            LaunchError::Archive(error) => error.into(),
            LaunchError::Append(AppendError::Gone) => Self::new(Code::Draining, "the service is stopping"),
            LaunchError::Append(error) => {
                tracing::error!(error = %error, "failed to write first event");
                Self::new(Code::LogUnavailable, Code::LogUnavailable.advice())
            }
        }
    }
}

impl<Refusal> From<CreateError<Refusal>> for Problem
where
    Refusal: std::error::Error,
    Problem: From<Refusal>,
{
    fn from(error: CreateError<Refusal>) -> Self {
        match error {
            CreateError::Refused(refusal) => refusal.into(),
            CreateError::SafeMode(_) => Self::new(Code::SafeModeEnabled, error.to_string()),
            CreateError::Journal(_) => Self::new(Code::JournalUnavailable, error.to_string()),
            CreateError::KeyReused => Self::new(Code::IdempotencyKeyReused, error.to_string()),
            CreateError::Draining => Self::new(Code::Draining, "the service is stopping"),
            CreateError::Launch(error) => error.into(),
        }
    }
}

impl From<RunRefusal> for Problem {
    fn from(refusal: RunRefusal) -> Self {
        match refusal {
            RunRefusal::ConfigurationNotFound => Self::not_found("the configuration"),
            RunRefusal::DocumentNotFound(id) => {
                Self::new(Code::InputNotFound, format!("there is no document {id} in this workspace"))
                    .error(FieldError::new("options.document_ids", "not_found", format!("there is no document {id}")))
            }
            RunRefusal::InputRequired => Self::new(Code::InputRequired, "a run needs at least one document")
                .error(FieldError::new("options.document_ids", "required", "at least one document is needed")),
            RunRefusal::QueueFull { waiting } => {
                Self::new(Code::QueueFull, format!("{waiting} runs are already waiting"))
            }
        }
    }
}

impl From<ExecutionRefusal> for Problem {
    fn from(refusal: ExecutionRefusal) -> Self {
        match refusal {
            ExecutionRefusal::WorkflowNotFound => Self::not_found("the workflow"),
            ExecutionRefusal::Input(faults) => of_faults(Code::InvalidInput, faults),
        }
    }
}

impl From<RetryError<Run>> for Problem {
    fn from(error: RetryError<Run>) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("the run"),
            RetryError::NotEnded(status) => {
                Self::new(Code::RunNotEnded, format!("the run has not finished: it is {status}"))
            }
            RetryError::Refused(never) => match never {},
            RetryError::Create(error) => error.into(),
        }
    }
}

impl From<RetryError<Execution>> for Problem {
    fn from(error: RetryError<Execution>) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("the execution"),
            RetryError::NotEnded(status) => {
                Self::new(Code::ExecutionNotEnded, format!("the execution has not finished: it is {status}"))
            }
            RetryError::Refused(refusal) => refusal.into(),
            RetryError::Create(error) => error.into(),
        }
    }
}

impl From<ExecutionRetryRefusal> for Problem {
    fn from(refusal: ExecutionRetryRefusal) -> Self {
        match refusal {
            ExecutionRetryRefusal::Completed => {
                Self::new(Code::ExecutionCompleted, "the execution has completed: there is nothing to retry")
            }
            ExecutionRetryRefusal::Log(error) => error.into(),
        }
    }
}

impl From<AnswerExecutionError> for Problem {
    fn from(error: AnswerExecutionError) -> Self {
        match error {
            AnswerExecutionError::NotFound => Self::not_found("the execution"),
            AnswerExecutionError::Refused(refusal) => refusal.into(),
            AnswerExecutionError::Draining => Self::new(Code::Draining, "the service is stopping"),
            AnswerExecutionError::Log(error) => error.into(),
            AnswerExecutionError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchStep => Self::not_found("the step"),
            Refusal::NotWaiting { what } => Self::new(Code::NotWaiting, what),
            Refusal::AnsweredOtherwise => Self::new(Code::ClarificationAnswered, refusal.to_string()),
            Refusal::DecidedOtherwise => Self::new(Code::AcceptanceGiven, refusal.to_string()),
            Refusal::NotAmong { named } => {
                let detail = format!("the document is decided on by {}", named.join(", "));
                Self::new(Code::NotAmongAccepters, detail).with("accepted_by", named)
            }
            Refusal::Invalid(faults) => of_faults(Code::InvalidAnswers, faults),
        }
    }
}

/// Everything that is wrong, each at its place.
pub fn of_faults(code: Code, faults: Vec<Fault>) -> Problem {
    let problem = Problem::new(code, format!("{}: {} faults", code.title(), faults.len()));
    let error = |fault: Fault| FieldError::new(fault.path, fault.code, fault.message);
    faults.into_iter().map(error).fold(problem, Problem::error)
}

impl From<EnsureBuildError> for Problem {
    fn from(error: EnsureBuildError) -> Self {
        match error {
            EnsureBuildError::ConfigurationNotFound => Self::not_found("the configuration"),
            EnsureBuildError::SafeMode(_) => Self::new(Code::SafeModeEnabled, error.to_string()),
            EnsureBuildError::Journal(_) => Self::new(Code::JournalUnavailable, error.to_string()),
            EnsureBuildError::Draining => Self::new(Code::Draining, "the service is stopping"),
            EnsureBuildError::Digest(DigestError::Store(error)) => error.into(),
            EnsureBuildError::Digest(DigestError::NotReady(error)) => error.into(),
            EnsureBuildError::Digest(error) => Self::internal(error),
            EnsureBuildError::Toolchain(error) => Self::new(Code::BuildsUnavailable, error.to_string()),
            EnsureBuildError::Launch(error) => error.into(),
        }
    }
}

impl From<ReplaceError> for Problem {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::NotFound => Self::not_found("the configuration"),
            ReplaceError::NotEditable(_) => Self::new(Code::ConfigurationNotEditable, error.to_string()),
            ReplaceError::Changed { .. } => Self::new(Code::PreconditionFailed, error.to_string()),
            ReplaceError::Import(error) => error.into(),
            ReplaceError::NotReady(error) => error.into(),
            ReplaceError::NotKept(error) => error.into(),
            ReplaceError::Crowded => Self::new(Code::PreconditionFailed, error.to_string()),
            ReplaceError::Store(error) => error.into(),
        }
    }
}

impl From<InvalidPath> for Problem {
    fn from(error: InvalidPath) -> Self {
        Self::new(Code::PathNotAllowed, error.to_string())
    }
}

impl From<EditConfigurationError> for Problem {
    fn from(error: EditConfigurationError) -> Self {
        match error {
            EditConfigurationError::NotFound => Self::not_found("the configuration"),
            EditConfigurationError::NotEditable(_) => Self::new(Code::ConfigurationNotEditable, error.to_string()),
            EditConfigurationError::Edit(error) => error.into(),
            EditConfigurationError::NotReady(error) => error.into(),
            EditConfigurationError::NotKept(error) => error.into(),
            EditConfigurationError::Crowded => Self::new(Code::PreconditionFailed, error.to_string()),
            EditConfigurationError::Store(error) => error.into(),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let code = match &error {
            EditError::NotFound { .. } | EditError::NoDirectory { .. } => Code::NotFound,
            EditError::OtherKind { .. } | EditError::Exists { .. } => Code::FileExists,
            EditError::NotEmpty { .. } => Code::DirectoryNotEmpty,
            EditError::ConditionRequired { .. } => Code::PreconditionRequired,
            EditError::ConditionFailed { current } => {
                let current = current.as_ref().map(|digest| format!("\"{digest}\""));
                return Self::new(Code::PreconditionFailed, error.to_string()).with("current_etag", current);
            }
            EditError::TooLarge(_) => Code::PayloadTooLarge,
            EditError::Tree(_) | EditError::Io(_) => return Self::internal(error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<TransitionError> for Problem {
    fn from(error: TransitionError) -> Self {
        match error {
            TransitionError::NotFound => Self::not_found("the configuration"),
            TransitionError::NotReady(OpenError::NotFound) => Self::not_found("the configuration"),
            TransitionError::NotReady(error) => error.into(),
            TransitionError::Status(_) | TransitionError::Crowded => {
                Self::new(Code::ConfigurationStatusConflict, error.to_string())
            }
            TransitionError::Invalid(error) => Self::new(Code::InvalidPackage, error.to_string())
                .error(FieldError::new(error.file, "invalid", error.problem)),
            TransitionError::Tree(_) | TransitionError::Io(_) => Self::internal(error),
            TransitionError::Store(error) => error.into(),
        }
    }
}

/// The problem of something that is not deleted has the code of what was to be deleted.
pub fn delete(error: DeleteError, what: &str, in_use: Code) -> Problem {
    match error {
        DeleteError::NotFound => Problem::not_found(what),
        DeleteError::InUse { live } => Problem::new(in_use, error.to_string()).with("live", live),
        DeleteError::Active => Problem::new(Code::ConfigurationActive, error.to_string()),
        DeleteError::Store(error) => error.into(),
    }
}

impl From<SheetsError> for Problem {
    fn from(error: SheetsError) -> Self {
        match error {
            SheetsError::Io(_) => Self::internal(error),
            _ => Self::new(Code::DocumentUnreadable, error.to_string()),
        }
    }
}

impl From<ChangeWorkspaceError> for Problem {
    fn from(error: ChangeWorkspaceError) -> Self {
        match error {
            ChangeWorkspaceError::NotFound => Self::not_found("the workspace"),
            ChangeWorkspaceError::SlugTaken => Self::new(Code::SlugTaken, error.to_string()),
            ChangeWorkspaceError::Store(error) => error.into(),
        }
    }
}

/// The problem of a cancel that came too late has the code of what was to be cancelled.
pub fn cancel<Status: std::fmt::Display>(error: CancelError<Status>, kind: StreamKind, too_late: Code) -> Problem {
    let what = format!("the {kind}");
    match error {
        CancelError::NotFound => Problem::not_found(what),
        CancelError::Ended(status) => Problem::new(too_late, format!("{what} has already finished: {status}")),
        CancelError::Draining => Problem::new(Code::Draining, "the service is stopping"),
        CancelError::Store(error) => error.into(),
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => Self::not_found("the stream"),
            ReadError::Expired => {
                Self::new(Code::Gone, "the events were deleted by retention; the resource is still there")
            }
            ReadError::Elsewhere(node) => {
                Self::new(Code::OwnerChanged, error.to_string()).with("node", node.to_string())
            }
            ReadError::Log(error) => {
                tracing::error!(error = %error, "failed to read log");
                Self::new(Code::LogUnavailable, "the log cannot be read")
            }
            ReadError::Open(error) => error.into(),
            ReadError::Subscribe(SubscribeError::TooMany { limit }) => {
                Self::new(Code::TooManySubscribers, format!("the stream has reached its limit of {limit} subscribers"))
            }
            ReadError::Subscribe(SubscribeError::NoPosition(position)) => match position {
                NoPosition::Ahead(ahead) => Self::sequence_ahead(ahead.last),
                NoPosition::Expired(expired) => {
                    Self::new(Code::PositionExpired, expired.to_string()).with("first_sequence", expired.first)
                }
            },
            ReadError::Store(error) => error.into(),
            ReadError::Feed(error) => {
                tracing::error!(error = %error, "failed to open feed");
                Self::new(Code::LogUnavailable, "the feed cannot be read")
            }
        }
    }
}

impl From<OpenReaderError> for Problem {
    fn from(error: OpenReaderError) -> Self {
        tracing::error!(error = %error, "failed to open log");
        match error {
            // What exactly the store has answered is not for every reader.
            OpenReaderError::Archived(_) | OpenReaderError::ArchiveUnavailable(_) => {
                Self::new(Code::ArchiveUnavailable, Code::ArchiveUnavailable.advice())
            }
            OpenReaderError::ArchiveDamaged(_) => Self::new(Code::ArchiveDamaged, Code::ArchiveDamaged.advice()),
            OpenReaderError::NotFound | OpenReaderError::Io(_) => {
                Self::new(Code::LogUnavailable, "the log cannot be read")
            }
        }
    }
}

/// The object store's own words, and the names of objects, are for the log.
impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::NotFound => return Self::new(Code::NotFound, "the file does not exist"),
            OpenError::Unavailable(_) => Code::StoreUnavailable,
            OpenError::Damaged(_) => Code::StoredFileDamaged,
            OpenError::Elsewhere { .. } => Code::FileElsewhere,
            OpenError::Store(error) => return error.into(),
            OpenError::Io(_) => return Self::internal(error),
        };
        tracing::error!(error = %error, "failed to open file");
        Self::new(code, code.advice())
    }
}

impl<E: std::error::Error + 'static> From<ReadPackageError<E>> for Problem {
    fn from(error: ReadPackageError<E>) -> Self {
        match error {
            ReadPackageError::NotReady(error) => error.into(),
            ReadPackageError::Read(error) => Self::internal(error),
        }
    }
}

impl From<PutError> for Problem {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Unavailable(_) => {
                tracing::error!(error = %error, "failed to keep file");
                Self::new(Code::StoreUnavailable, Code::StoreUnavailable.advice())
            }
            PutError::Store(error) => error.into(),
            PutError::Io(_) => Self::internal(error),
        }
    }
}

impl From<TemplateError> for Problem {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Unknown => Self::new(Code::TemplateUnknown, error.to_string()).error(FieldError::new(
                "source.template_id",
                "unknown",
                error.to_string(),
            )),
            TemplateError::Io(_) | TemplateError::Tree(_) => Self::internal(error),
        }
    }
}

impl From<OriginError> for Problem {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::Template(error) => error.into(),
            OriginError::Import(error) => error.into(),
            OriginError::Copy(error) => Self::internal(error),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let code = match &error {
            ImportError::TooLarge { .. } | ImportError::UnpacksTooLarge { .. } | ImportError::TooManyEntries { .. } => {
                Code::ArchiveTooLarge
            }
            ImportError::PathNotAllowed { .. } => Code::PathNotAllowed,
            ImportError::Empty => Code::ArchiveEmpty,
            ImportError::Duplicate { .. } | ImportError::Unreadable(_) => Code::InvalidArchive,
            ImportError::InvalidPackage(_) => Code::InvalidPackage,
            ImportError::Io(_) | ImportError::Tree(_) => return Self::internal(error),
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbErr;
    use sea_orm::error::ConnAcquireErr;

    use super::*;
    use crate::access::{CreateKeyError, GrantError};
    use crate::domain::status::RunStatus;

    fn away<E: From<StoreError>>() -> E {
        StoreError::from(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)).into()
    }

    #[test]
    fn a_database_that_is_away_is_told_by_every_operation() {
        let cancelled = cancel::<RunStatus>(CancelError::Store(away()), StreamKind::RUN, Code::RunNotCancellable);
        for problem in [
            away::<StoreError>().into(),
            away::<InsertWorkspaceError>().into(),
            away::<CreateDocumentError>().into(),
            away::<ChangeDocumentError>().into(),
            away::<InsertWorkflowError>().into(),
            away::<ReplaceWorkflowError>().into(),
            away::<DeleteWorkflowError>().into(),
            away::<LaunchError>().into(),
            away::<CreateKeyError>().into(),
            away::<GrantError>().into(),
            EnsureBuildError::from(away::<DigestError>()).into(),
            away::<ReplaceError>().into(),
            away::<ReadError>().into(),
            cancelled,
        ] {
            assert_eq!(problem.code, Code::DatabaseUnavailable, "{problem:?}");
        }
    }
}
