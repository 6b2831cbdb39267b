//! What is between spans and the exporter: sampling, a bounded queue, and the SDK's thread.
//!
//! Law: nothing here reads the environment. Every value that the SDK would take from a variable `OTEL_*` is given to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderName, HeaderValue};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanLimits,
    SpanProcessor,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use super::backlog::Backlog;
use super::exporter::{Exporter, Target};
use crate::config::OtelSettings;
use crate::outbound::tls;
use crate::trace;

/// A batch goes when it has so many spans, or after this.
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(2);

/// Spans being sent to a collector.
pub struct Sending {
    provider: SdkTracerProvider,
    backlog: Arc<Backlog>,
    ending: watch::Sender<bool>,
}

impl Sending {
    /// Nothing where there is no collector.
    pub fn start(settings: &OtelSettings) -> io::Result<Option<Self>> {
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let (backlog, (ending, is_ending)) = (Arc::new(Backlog::default()), watch::channel(false));
        let exporter = Exporter::new(target(endpoint, settings)?, backlog.clone(), is_ending)?;
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(
            BatchConfigBuilder::default()
                .with_max_queue_size(Backlog::MOST)
                .with_max_export_batch_size(BATCH)
                .with_scheduled_delay(DELAY)
                .build(),
        );
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { queue: queue.build(), backlog: backlog.clone() })
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio))))
            .with_span_limits(SpanLimits::default())
            .with_resource(resource(settings))
            .build();
        Ok(Some(Self { provider, backlog, ending }))
    }

    /// Spans of [`crate::trace`] and nothing else: no event, whose text may be anything, and no span of a library.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer: SdkTracer = self.provider.tracer("ade");
        let is_ours = |metadata: &Metadata<'_>| metadata.is_span() && metadata.target() == trace::TARGET;
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what waits, for so long at most. To be called where waiting holds up nobody.
    pub fn end(self, within: Duration) {
        self.ending.send_replace(true);
        if self.provider.shutdown_with_timeout(within).is_err() {
            tracing::warn!("the last spans were not sent within {within:?}");
        }
        let lost = self.backlog.lost();
        if lost > 0 {
            tracing::warn!(lost, "spans that the collector has not got");
        }
    }
}

fn target(endpoint: &str, settings: &OtelSettings) -> io::Result<Target> {
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))];
    for (name, value) in &settings.headers {
        headers.push(sent(name, value).ok_or_else(|| io::Error::other(format!("{name} is no header")))?);
    }
    let tls = tls::trusting(None).map_err(io::Error::other)?;
    Ok(Target { url: format!("{endpoint}/v1/traces"), headers, timeout: settings.timeout, tls })
}

fn sent(name: &str, value: &SecretString) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

fn resource(settings: &OtelSettings) -> Resource {
    let instance = settings.service_instance.clone().unwrap_or_else(|| ulid::Ulid::generate().to_string());
    let attributes = [
        KeyValue::new("service.name", settings.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}

/// The SDK's queue, behind a count of our own: the SDK tells of what it drops only in a log that is switched off here.
#[derive(Debug)]
struct Bounded {
    queue: BatchSpanProcessor,
    backlog: Arc<Backlog>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.backlog.enter() {
            self.queue.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}
