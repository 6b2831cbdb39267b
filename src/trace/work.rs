//! Spans of work, and of what takes most of its time: processes, steps of a build, calls of models.

use std::fmt::Display;

use tracing::Span;
use tracing::field::Empty;

use super::origin::{self, Origin};
use super::{ERROR, TARGET};

/// Of a piece of work, from its start to its end, through all sessions of one life of the service.
#[derive(Debug, Clone)]
pub struct WorkSpan(Span);

impl WorkSpan {
    /// Work that a start of the service has taken up again has no origin.
    pub fn begin(kind: &'static str, id: &dyn Display, workspace: &dyn Display, origin: Origin) -> Self {
        let span = tracing::info_span!(
            target: TARGET, parent: None, "work",
            "otel.name" = kind, "otel.status_code" = Empty, "error.type" = Empty,
            "ade.work.kind" = kind, "ade.work.id" = %id, "ade.workspace.id" = %workspace, "ade.work.outcome" = Empty,
        );
        origin.adopt(&span);
        Self(span)
    }

    /// For work that this work asks for.
    pub fn origin(&self) -> Origin {
        Origin::of(&self.0)
    }

    /// How it has ended, and with which code if it has failed; whoever still holds the span.
    pub fn end(&self, outcome: &str, failure: Option<&str>) {
        self.0.record("ade.work.outcome", outcome);
        fail(&self.0, failure);
        origin::end(&self.0);
    }

    /// A process that does the work.
    pub fn process(&self, name: &'static str) -> PartSpan {
        PartSpan(tracing::info_span!(
            target: TARGET, parent: &self.0, "process",
            "otel.name" = name, "otel.status_code" = Empty, "error.type" = Empty, "process.exit.code" = Empty,
        ))
    }

    /// A step of a build.
    pub fn phase(&self, phase: &'static str) -> PartSpan {
        PartSpan(tracing::info_span!(
            target: TARGET, parent: &self.0, "build.phase",
            "otel.name" = phase, "otel.status_code" = Empty, "error.type" = Empty, "process.exit.code" = Empty,
            "ade.build.phase" = phase,
        ))
    }

    /// A call of a language model, for a step of an execution.
    pub fn call(&self, provider: &str, model: &str, max_tokens: u32, step: &str, call: &dyn Display) -> CallSpan {
        if self.0.is_disabled() {
            return CallSpan(Span::none());
        }
        CallSpan(tracing::info_span!(
            target: TARGET, parent: &self.0, "llm.call",
            "otel.name" = format!("chat {model}"), "otel.kind" = "client", "otel.status_code" = Empty,
            "error.type" = Empty, "gen_ai.operation.name" = "chat", "gen_ai.provider.name" = provider,
            "gen_ai.request.model" = model, "gen_ai.request.max_tokens" = i64::from(max_tokens),
            "gen_ai.usage.input_tokens" = Empty, "gen_ai.usage.output_tokens" = Empty,
            "gen_ai.usage.cache_read.input_tokens" = Empty, "gen_ai.usage.cache_creation.input_tokens" = Empty,
            "ade.step.id" = step, "ade.call.id" = %call,
        ))
    }
}

/// Of a part of a piece of work; it ends when it is dropped.
#[must_use = "a span takes as long as it is held"]
#[derive(Debug)]
pub struct PartSpan(Span);

impl PartSpan {
    /// A process has ended; any code but zero is an error.
    pub fn exited(self, code: Option<i32>) {
        let failure = code.filter(|code| *code != 0).map(|code| code.to_string());
        self.end(code, failure.as_deref());
    }

    /// How it has ended.
    pub fn end(self, exit_code: Option<i32>, failure: Option<&str>) {
        if let Some(code) = exit_code {
            self.0.record("process.exit.code", i64::from(code));
        }
        fail(&self.0, failure);
    }
}

/// Tokens of a call; those of the input with what came from a cache and what went into one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// Of a call of a language model; it ends when it is dropped.
#[must_use = "a span takes as long as it is held"]
#[derive(Debug)]
pub struct CallSpan(Span);

impl CallSpan {
    /// What it took, as far as anybody has said so, and which kind of error it has ended with.
    pub fn end(self, used: Option<Used>, error: Option<&str>) {
        if let Some(used) = used {
            let record = |name: &'static str, count: u64| {
                self.0.record(name, i64::try_from(count).unwrap_or(i64::MAX));
            };
            record("gen_ai.usage.input_tokens", used.input);
            record("gen_ai.usage.output_tokens", used.output);
            record("gen_ai.usage.cache_read.input_tokens", used.cache_read);
            record("gen_ai.usage.cache_creation.input_tokens", used.cache_write);
        }
        fail(&self.0, error);
    }
}

fn fail(span: &Span, code: Option<&str>) {
    if let Some(code) = code {
        span.record("otel.status_code", ERROR);
        span.record("error.type", code);
    }
}
