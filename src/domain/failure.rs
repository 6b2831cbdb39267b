//! Why a piece of work failed: the service's own codes, the stage it happened in, and what an engine says of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::status::text_enum;
use super::text::is_identifier;

text_enum! {
    /// Codes of `run.completed` `failure`.
    RunFailureCode {
        BuildFailed = "build_failed", EngineError = "engine_error", EngineNotFound = "engine_not_found",
        InputMissing = "input_missing", InputUnavailable = "input_unavailable", RunTimeout = "run_timeout", IdleTimeout = "idle_timeout",
        RunCancelled = "run_cancelled", Interrupted = "interrupted", OrchestrationError = "orchestration_error",
    }
}

text_enum! {
    /// Codes of `build.completed` `error`.
    BuildErrorCode {
        VenvCreateFailed = "venv_create_failed", PipUpgradeFailed = "pip_upgrade_failed",
        EngineInstallFailed = "engine_install_failed", ConfigInstallFailed = "config_install_failed",
        ImportCheckFailed = "import_check_failed", DependencyConflict = "dependency_conflict",
        MetadataFailed = "metadata_failed",
        BuildTimeout = "build_timeout", BuildCancelled = "build_cancelled", SafeMode = "safe_mode",
        Interrupted = "interrupted", VenvsDirUnwritable = "venvs_dir_unwritable",
        OrchestrationError = "orchestration_error",
    }
}

text_enum! {
    Stage { Build = "build", Run = "run", Validation = "validation" }
}

/// The code or the stage of a failure: a word of the lists above, or the engine's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(Cow<'static, str>);

impl Label {
    /// The code that an engine gives its failure, unless it is none, or one that only the service may give.
    pub fn code_of_engine(code: &str) -> Option<Self> {
        let own = RunFailureCode::parse(code).is_none_or(|code| code == RunFailureCode::EngineError);
        (own && is_identifier(code)).then(|| Self(Cow::Owned(code.to_owned())))
    }

    /// Where an engine says that it failed. Builds are not its business.
    pub fn stage_of_engine(stage: &str) -> Option<Self> {
        (stage != Stage::Build.as_str() && is_identifier(stage)).then(|| Self(Cow::Owned(stage.to_owned())))
    }

    /// As it was stored.
    pub fn stored(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl utoipa::PartialSchema for Label {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        super::schema::text("[A-Za-z][A-Za-z0-9_.-]{0,63}")
    }
}

impl utoipa::ToSchema for Label {}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RunFailureCode> for Label {
    fn from(code: RunFailureCode) -> Self {
        Self(Cow::Borrowed(code.as_str()))
    }
}

impl From<Stage> for Label {
    fn from(stage: Stage) -> Self {
        Self(Cow::Borrowed(stage.as_str()))
    }
}

/// `failure` of a run that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunFailure {
    pub code: Label,
    pub stage: Label,
    pub message: String,
}

impl RunFailure {
    pub fn new(code: RunFailureCode, stage: Stage, message: impl Into<String>) -> Self {
        Self { code: code.into(), stage: stage.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_cannot_give_the_services_codes() {
        for code in ["hook_error", "no_tables_found", "engine_error", "E1001"] {
            assert_eq!(Label::code_of_engine(code).unwrap().as_str(), code);
        }
        for code in ["run_cancelled", "interrupted", "build_failed", "", "two words", &"x".repeat(65)] {
            assert_eq!(Label::code_of_engine(code), None, "{code}");
        }
        assert_eq!(Label::stage_of_engine("build"), None);
        assert_eq!(Label::stage_of_engine("extracting").unwrap().as_str(), "extracting");
    }

    #[test]
    fn a_failure_is_read_back_as_it_was_written() {
        let failure = RunFailure {
            code: Label::stored("hook_error"),
            ..RunFailure::new(RunFailureCode::EngineError, Stage::Run, "m")
        };
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(json, r#"{"code":"hook_error","stage":"run","message":"m"}"#);
        assert_eq!(serde_json::from_str::<RunFailure>(&json).unwrap(), failure);
    }
}
