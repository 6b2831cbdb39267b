//! The calls of one attempt at a step, until one has a reply or no further one is made.
//!
//! Invariant: every call is logged exactly once, with its cost; its reply is on disk before.

use std::time::Duration;

use tokio::time::Instant;

use super::event_writer::LogFailed;
use super::exchange::{Failure, Outcome, exchange, stopped};
use super::inputs::Input;
use super::replies::{StoredCall, digest};
use super::work::{StepWork, Work};
use crate::domain::CallId;
use crate::domain::money::MicroUsd;
use crate::domain::progress::{RetryReason, StepError, StepErrorCode, StepState};
use crate::event::payload::execution::{LLM_CALL, LlmCall, STEP_RETRYING, StepRetrying};
use crate::llm::retry::Decision;
use crate::llm::{Context, ErrorKind, Message, Provider, ProviderError, Request, Usage, estimated_tokens};
use crate::trace::{CallSpan, Used};
use crate::workflow::plan::affords;
use crate::workflow::prompt::{self, Material, Prompt};
use crate::workflow::step::may_ask;
use crate::workflow::{Step, prompt::Input as PromptInput};

/// Of a step that sets no limit.
const MAX_TOKENS: u32 = 8_192;

/// What has come of an attempt's calls.
pub enum Called {
    /// The log has a reply to be judged.
    Replied,
    /// It is to stop, or nothing new is to be started.
    Stopped,
    Failed(StepError),
}

pub async fn call(
    at: &StepWork,
    step: &Step,
    state: &StepState,
    inputs: &[Input],
    deadline: Instant,
) -> Result<Called, LogFailed> {
    let prepared = prepare(at, step, state, inputs);
    let (provider, prompt) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Called::Failed(error)),
    };
    for number in failed_calls(state) + 1.. {
        if Instant::now() >= deadline {
            return Ok(Called::Failed(too_late(step)));
        }
        let request = request(step, state, &prompt, number, deadline);
        let estimate = estimate(&at.work, &*provider, &request);
        let affordable = affords(&at.work.job.workflow, &at.work.writer.progress(), at.work.reserved.get(), estimate);
        if let Err(error) = affordable {
            return Ok(Called::Failed(error));
        }
        let _reserved = at.work.reserve(estimate);
        let error = match one(at, &*provider, request, state.attempt).await? {
            Ok(()) => return Ok(Called::Replied),
            Err(CallError::Stored(error)) => return Ok(Called::Failed(error)),
            Err(CallError::Failure(Failure::Stopped(_))) => return Ok(Called::Stopped),
            Err(CallError::Failure(Failure::Provider(error))) => error,
        };
        let after = match at.work.job.models.retries.decide(&error, number, chance()) {
            Decision::Again { after } => after,
            Decision::GiveUp => {
                return Ok(Called::Failed(StepError::new(StepErrorCode::ProviderError, error.to_string())));
            }
        };
        let retrying = StepRetrying { attempt: state.attempt, reason: RetryReason::Provider, findings: Vec::new() };
        at.work.writer.write(STEP_RETRYING, Some(&at.key), &retrying).await?;
        if !pause(at, after.min(deadline.saturating_duration_since(Instant::now()))).await {
            return Ok(Called::Stopped);
        }
    }
    unreachable!("numbers do not end")
}

fn prepare(
    at: &StepWork,
    step: &Step,
    state: &StepState,
    inputs: &[Input],
) -> Result<(std::sync::Arc<dyn Provider>, Prompt), StepError> {
    let provider = at.work.job.models.providers.get(step.provider.as_deref());
    let provider = provider.map_err(|error| StepError::new(StepErrorCode::ProviderError, error.to_string()))?;
    let documents: Vec<PromptInput<'_>> = inputs
        .iter()
        .map(|input| PromptInput { document: &input.document, item: input.item.as_deref(), content: &input.content })
        .collect();
    let (item, scope) = (at.item(step, inputs)?, &at.work.job.execution.scope);
    let prompt = prompt::build(&Material {
        workflow: &at.work.job.workflow,
        step,
        scope_type: &scope.scope_type,
        scope_id: &scope.scope_id,
        item: item.as_ref(),
        documents: &documents,
        state,
        may_ask: may_ask(step, state),
        budget: usize::try_from(at.work.job.context.settings.llm.max_prompt).unwrap_or(usize::MAX),
    })?;
    Ok((provider, prompt))
}

/// Calls of this attempt that have failed of themselves, also in a previous process.
fn failed_calls(state: &StepState) -> u32 {
    let stopped = [ErrorKind::Cancelled, ErrorKind::Interrupted].map(ErrorKind::as_str);
    let failed = state.calls.iter().filter(|call| {
        call.attempt == state.attempt && call.error.as_deref().is_some_and(|error| !stopped.contains(&error))
    });
    u32::try_from(failed.count()).unwrap_or(u32::MAX - 1)
}

fn request(step: &Step, state: &StepState, prompt: &Prompt, number: u32, deadline: Instant) -> Request {
    Request {
        system: prompt.system.clone(),
        messages: vec![Message::user(prompt.user.clone())],
        model: step.model.clone(),
        max_tokens: step.max_tokens.unwrap_or(MAX_TOKENS),
        temperature: step.temperature,
        timeout: Some(deadline.saturating_duration_since(Instant::now())),
        context: Context {
            task: prompt.task.clone(),
            schema: Some(prompt.schema.clone()),
            answered: prompt.answered,
            step_attempt: state.attempt,
            call_attempt: number,
        },
    }
}

/// The most that a call may cost; none of a model without a price.
fn estimate(work: &Work, provider: &dyn Provider, request: &Request) -> Option<MicroUsd> {
    let said = request.messages.iter().map(|message| estimated_tokens(&message.text)).sum::<u64>();
    let usage = Usage {
        input: said + estimated_tokens(&request.system),
        output: request.max_tokens.into(),
        ..Usage::default()
    };
    work.job.models.prices.price(provider.name(), &request.model, &usage)
}

enum CallError {
    Failure(Failure),
    /// The reply is lost, since it could not be stored.
    Stored(StepError),
}

/// Makes one call and logs it.
async fn one(
    at: &StepWork,
    provider: &dyn Provider,
    request: Request,
    attempt: u32,
) -> Result<Result<(), CallError>, LogFailed> {
    let mut stored = StoredCall { step: at.key.clone(), call: unmade(provider, &request, attempt), content: None };
    if let Err(error) = at.work.replies.store(&stored).await {
        return Ok(Err(CallError::Stored(not_stored(&error))));
    }
    at.work.prompts.keep(&at.key, &stored.call, &request).await;
    let span = span(at, &stored.call, request.max_tokens);
    let outcome = exchange(provider.call(request), &at.work.writer, &at.key, at.stop.clone()).await;
    describe(&at.work, provider, &mut stored.call, &outcome);
    span.end(outcome.usage.map(used), stored.call.error.as_deref());
    count(&at.work, provider, &stored.call, &outcome);
    let failed = match outcome.result {
        Ok(reply) => {
            stored.content = Some(reply.content);
            let kept = at.work.replies.store(&stored).await;
            kept.err().map(|error| {
                stored.call.error = Some("not_stored".to_owned());
                stored.call.error_message = Some(error.to_string());
                CallError::Stored(not_stored(&error))
            })
        }
        Err(failure) => Some(CallError::Failure(failure)),
    };
    at.work.writer.write(LLM_CALL, Some(&at.key), &stored.call).await?;
    match failed {
        None => Ok(Ok(())),
        Some(error) => {
            at.work.replies.remove(stored.call.call_id).await;
            Ok(Err(error))
        }
    }
}

fn span(at: &StepWork, call: &LlmCall, max_tokens: u32) -> CallSpan {
    at.work.job.span.call(&call.provider, &call.model, max_tokens, &at.key.step_id, &call.call_id)
}

fn used(usage: Usage) -> Used {
    let Usage { output, cache_read, cache_write, .. } = usage;
    Used { input: usage.prompt(), output, cache_read, cache_write }
}

/// A call of which nothing has come yet.
fn unmade(provider: &dyn Provider, request: &Request, attempt: u32) -> LlmCall {
    LlmCall {
        call_id: CallId::generate(),
        provider: provider.name().as_str().to_owned(),
        model: request.model.clone(),
        attempt,
        input_tokens: 0,
        output_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        latency_ms: 0,
        cost_usd: None,
        stop_reason: None,
        error: None,
        error_message: None,
        content_digest: None,
    }
}

/// A reply whose provider does not say what it took has no known price; a call that failed before anyone said
/// so has cost nothing.
fn describe(work: &Work, provider: &dyn Provider, call: &mut LlmCall, outcome: &Outcome) {
    let usage = outcome.usage.unwrap_or_default();
    call.input_tokens = usage.input;
    call.output_tokens = usage.output;
    call.cache_read_tokens = usage.cache_read;
    call.cache_write_tokens = usage.cache_write;
    call.latency_ms = u64::try_from(outcome.latency.as_millis()).unwrap_or(u64::MAX);
    let is_known = outcome.usage.is_some() || outcome.result.is_err();
    call.cost_usd = is_known.then(|| work.job.models.prices.price(provider.name(), &call.model, &usage)).flatten();
    match &outcome.result {
        Ok(reply) => {
            call.stop_reason = Some(reply.stop.as_str().to_owned());
            call.content_digest = Some(digest(&reply.content));
        }
        Err(Failure::Provider(error)) => set_error(call, error.kind(), Some(error)),
        Err(Failure::Stopped(kind)) => set_error(call, *kind, None),
    }
}

fn count(work: &Work, provider: &dyn Provider, call: &LlmCall, outcome: &Outcome) {
    let what = match &outcome.result {
        Ok(_) => "ok",
        Err(Failure::Provider(error)) => error.kind().as_str(),
        Err(Failure::Stopped(kind)) => kind.as_str(),
    };
    let cost = call.cost_usd.and_then(|cost| u64::try_from(cost.0).ok()).unwrap_or(0);
    work.job.models.meters.count(provider.name(), what, outcome.usage.unwrap_or_default(), cost, outcome.latency);
}

fn set_error(call: &mut LlmCall, kind: ErrorKind, error: Option<&ProviderError>) {
    call.error = Some(kind.as_str().to_owned());
    call.error_message = error.map(ToString::to_string);
}

fn not_stored(error: &std::io::Error) -> StepError {
    StepError::new(StepErrorCode::OrchestrationError, format!("the call cannot be stored: {error}"))
}

fn too_late(step: &Step) -> StepError {
    StepError::new(StepErrorCode::StepTimeout, format!("the step took longer than its {} s", step.timeout_seconds))
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(ulid::Ulid::generate().random() as u32) / f64::from(u32::MAX)
}

/// False when it is cut short.
async fn pause(at: &StepWork, time: Duration) -> bool {
    let (mut stop, mut closing) = (at.stop.clone(), at.closing.clone());
    tokio::select! {
        biased;
        _ = stopped(&mut stop) => false,
        Ok(_) = closing.wait_for(|closing| *closing) => false,
        () = tokio::time::sleep(time) => true,
    }
}
