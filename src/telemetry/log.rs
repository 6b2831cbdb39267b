//! The service's own log: built from settings and a sink, installed once. Spans of [`crate::trace`] are not in it.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, TelemetrySettings};
use crate::trace;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?}: {source}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("the log was set up before")]
    Twice(#[from] TryInitError),
    #[cfg(feature = "otel")]
    #[error("traces: {0}")]
    Traces(std::io::Error),
}

/// Installs the log of this process on standard error; to be called once.
pub fn init(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    Ok(subscriber(settings, std::io::stderr().is_terminal(), std::io::stderr)?.try_init()?)
}

/// The log as a value, writing to `sink`.
pub fn subscriber<W>(
    settings: &TelemetrySettings,
    colours: bool,
    sink: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Ok(Box::new(tracing_subscriber::registry().with(filter(settings)?).with(layer(settings, colours, sink))))
}

/// What of everything goes into the log.
pub(super) fn filter(settings: &TelemetrySettings) -> Result<EnvFilter, TelemetryError> {
    let wrong = |source| TelemetryError::Filter { filter: settings.level.clone(), source };
    let no_traces = format!("{}=off", trace::TARGET).parse().map_err(wrong)?;
    Ok(EnvFilter::try_new(&settings.level).map_err(wrong)?.add_directive(no_traces))
}

/// How it is written.
pub(super) fn layer<S, W>(settings: &TelemetrySettings, colours: bool, sink: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(sink);
    match settings.format {
        LogFormat::Text => layer.with_ansi(colours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, level: &str) -> String {
        let sink = Sink::default();
        let settings = TelemetrySettings { format, level: level.to_owned() };
        let make = {
            let sink = sink.clone();
            move || sink.clone()
        };
        tracing::subscriber::with_default(subscriber(&settings, false, make).unwrap(), || {
            let _span = tracing::info_span!("http.request", request_id = "r1").entered();
            let _trace = trace::request("GET", || Some("/route".to_owned()), "r1", trace::Given::default()).entered();
            tracing::info!(sequence = 7, "appended");
            tracing::debug!("detail");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_carry_the_fields_of_the_event_and_its_spans() {
        let line: serde_json::Value = serde_json::from_str(written(LogFormat::Json, "info").trim()).unwrap();
        assert_eq!((&line["sequence"], &line["message"]), (&7.into(), &"appended".into()));
        assert_eq!(line["span"]["request_id"], "r1");
        assert_eq!(line["spans"].as_array().map(Vec::len), Some(1), "spans of traces are not in the log");
    }

    #[test]
    fn text_below_the_level_is_left_out() {
        let text = written(LogFormat::Text, "info");
        assert!(text.contains("appended") && text.contains("request_id=\"r1\""), "{text}");
        assert!(!text.contains("detail"), "{text}");
        let all = written(LogFormat::Text, "trace");
        assert!(all.contains("detail") && !all.contains("/route"), "{all}");
    }
}
