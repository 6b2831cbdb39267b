//! Where a span belongs: below one of this program that may be over by then, or below one of a caller's.

use tracing::Span;

#[cfg(feature = "otel")]
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

/// The ids of a span; empty where there are no traces.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    #[cfg(feature = "otel")]
    span: Option<SpanContext>,
}

/// What a request says of the trace that it belongs to: the headers of W3C Trace Context.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
}

impl Origin {
    /// The span that this is called in.
    pub fn current() -> Self {
        Self::of(&Span::current())
    }
}

#[cfg(feature = "otel")]
impl Origin {
    pub(super) fn of(span: &Span) -> Self {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        let context = span.context();
        Self { span: Some(context.span().span_context().clone()).filter(SpanContext::is_valid) }
    }

    /// What a caller has sent; nothing of it where it is no trace.
    pub(super) fn given(given: Given<'_>) -> Self {
        use opentelemetry::propagation::TextMapPropagator as _;
        use opentelemetry_sdk::propagation::TraceContextPropagator;
        let context = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &given);
        Self { span: Some(context.span().span_context().clone()).filter(SpanContext::is_valid) }
    }

    /// Makes a span that has just been made a child of this.
    pub(super) fn adopt(self, child: &Span) {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        if let Some(span) = self.span {
            // It fails where the span is disabled, and there is nothing to do.
            let _ = child.set_parent(opentelemetry::Context::new().with_remote_span_context(span));
        }
    }
}

#[cfg(feature = "otel")]
impl opentelemetry::propagation::Extractor for Given<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(not(feature = "otel"))]
impl Origin {
    pub(super) fn of(_: &Span) -> Self {
        Self::default()
    }

    pub(super) fn given(_: Given<'_>) -> Self {
        Self::default()
    }

    pub(super) fn adopt(self, _: &Span) {}
}

/// Ends a span now, whoever still holds it.
pub(super) fn end(span: &Span) {
    #[cfg(feature = "otel")]
    {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        span.context().span().end();
    }
    #[cfg(not(feature = "otel"))]
    let _ = span;
}
