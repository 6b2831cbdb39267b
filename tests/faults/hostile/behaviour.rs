//! What an engine does, what is done to its run meanwhile, and how the run must end.

use serde_json::{Value, json};

/// What happens while the engine is at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Nothing,
    /// When it says `ready`, its run is cancelled.
    Cancel,
    /// When it says `ready`, the service dies as by `kill -9`, and is started again.
    Kill,
    /// It kills the service by itself, which is started again.
    Restart,
    /// It stops the service, which is continued.
    Continue,
}

/// Whose code does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// The engine, in a run.
    Run,
    /// The build backend of a configuration.
    Backend,
    /// The configuration, when its import is tried.
    Import,
    /// The engine, when it is asked for its version.
    Version,
}

/// What becomes of the log of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogState {
    /// Dense, with one terminal event.
    Whole,
    /// The engine has destroyed it: the row must tell the end all the same.
    Destroyed,
}

#[derive(Clone, Debug)]
pub struct Behaviour {
    pub name: String,
    pub script: String,
    pub stage: Stage,
    pub options: Value,
    pub act: Act,
    /// Status and failure code, where only one is right.
    pub ending: Option<(&'static str, Option<&'static str>)>,
    pub log: LogState,
    /// A path below the outputs that must not be served.
    pub unserved: Vec<String>,
    /// Whether a link to a file of somebody else is a file like any other, so that its content may be shown.
    pub shares: bool,
}

/// A behaviour whose run may end in any way.
pub fn does(name: impl Into<String>, script: impl Into<String>) -> Behaviour {
    Behaviour {
        name: name.into(),
        script: script.into(),
        stage: Stage::Run,
        options: json!({}),
        act: Act::Nothing,
        ending: None,
        log: LogState::Whole,
        unserved: Vec::new(),
        shares: false,
    }
}

impl Behaviour {
    /// A build; or, with options, a run that begins with one.
    pub fn at(self, stage: Stage) -> Self {
        Self { stage, name: format!("{} ({stage:?})", self.name), ..self }
    }

    pub fn active(self) -> Self {
        Self { ending: Some(("active", None)), ..self }
    }

    pub fn succeeds(self) -> Self {
        Self { ending: Some(("succeeded", None)), ..self }
    }

    pub fn fails(self, code: &'static str) -> Self {
        Self { ending: Some(("failed", Some(code))), ..self }
    }

    pub fn cancelled(self) -> Self {
        Self { act: Act::Cancel, ending: Some(("cancelled", Some("run_cancelled"))), ..self }
    }

    pub fn cancelled_build(self) -> Self {
        Self { act: Act::Cancel, ending: Some(("cancelled", Some("build_cancelled"))), ..self }
    }

    /// One after the other in one run.
    pub fn and(mut self, other: Self) -> Self {
        self.unserved.extend(other.unserved);
        Self {
            name: format!("{}; {}", self.name, other.name),
            script: format!("{}\n{}", self.script, other.script),
            shares: self.shares || other.shares,
            ..self
        }
    }

    pub fn acting(self, act: Act) -> Self {
        Self { act, ..self }
    }

    pub fn validating(self) -> Self {
        Self { options: json!({"validate_only": true}), name: format!("{} (validate only)", self.name), ..self }
    }

    pub fn dry(self) -> Self {
        Self { options: json!({"dry_run": true}), name: format!("{} (dry run)", self.name), ..self }
    }

    pub fn destroying_its_log(self) -> Self {
        Self { log: LogState::Destroyed, ..self }
    }

    pub fn unserved(self, path: &str) -> Self {
        Self { unserved: vec![path.to_owned()], ..self }
    }

    pub fn sharing(self) -> Self {
        Self { shares: true, ..self }
    }
}
