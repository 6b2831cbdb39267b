//! The service's own log: built from settings and a sink, installed once.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, TelemetrySettings};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?}: {source}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("the log was set up before")]
    Twice(#[from] TryInitError),
}

/// Installs the log of this process on standard error; to be called once.
pub fn init(settings: &TelemetrySettings) -> Result<(), TelemetryError> {
    subscriber(settings, std::io::stderr().is_terminal(), std::io::stderr)?.try_init()?;
    Ok(())
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
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|source| TelemetryError::Filter { filter: settings.level.clone(), source })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(sink);
    let registry = tracing_subscriber::registry().with(filter);
    Ok(match settings.format {
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(colours))),
        LogFormat::Json => Box::new(registry.with(layer.json().flatten_event(true).with_ansi(false))),
    })
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
    }

    #[test]
    fn text_below_the_level_is_left_out() {
        let text = written(LogFormat::Text, "info");
        assert!(text.contains("appended") && text.contains("request_id=\"r1\""), "{text}");
        assert!(!text.contains("detail"), "{text}");
        assert!(written(LogFormat::Text, "debug").contains("detail"));
    }
}
