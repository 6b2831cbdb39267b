//! Why a piece of work failed: the closed lists of codes, and the stage it happened in.

use serde::{Deserialize, Serialize};

use super::status::text_enum;

text_enum! {
    /// Codes of `run.completed` `failure`.
    RunFailureCode {
        BuildFailed = "build_failed", EngineError = "engine_error", EngineNotFound = "engine_not_found",
        InputMissing = "input_missing", RunTimeout = "run_timeout", IdleTimeout = "idle_timeout",
        RunCancelled = "run_cancelled", Interrupted = "interrupted", OrchestrationError = "orchestration_error",
    }
}

text_enum! {
    /// Codes of `build.completed` `error`.
    BuildErrorCode {
        VenvCreateFailed = "venv_create_failed", PipUpgradeFailed = "pip_upgrade_failed",
        EngineInstallFailed = "engine_install_failed", ConfigInstallFailed = "config_install_failed",
        ImportCheckFailed = "import_check_failed", MetadataFailed = "metadata_failed",
        BuildTimeout = "build_timeout", BuildCancelled = "build_cancelled", SafeMode = "safe_mode",
        Interrupted = "interrupted", VenvsDirUnwritable = "venvs_dir_unwritable",
        OrchestrationError = "orchestration_error",
    }
}

text_enum! {
    Stage { Build = "build", Run = "run", Validation = "validation" }
}

/// `failure` of a run that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    pub code: RunFailureCode,
    pub stage: Stage,
    pub message: String,
}
