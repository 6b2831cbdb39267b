//! Traces of a service: set up beside its log, and ended before the program ends.

#[cfg(feature = "otel")]
use std::io::IsTerminal as _;
use std::time::Duration;

use super::log::TelemetryError;
use crate::config::Settings;

/// The traces of this process; nothing where there are none.
#[must_use = "spans that are not flushed are lost"]
pub struct Traces {
    #[cfg(feature = "otel")]
    sending: Option<super::collector::Sending>,
}

/// Installs the log of a service, as [`super::init`] does, and its traces; to be called once.
#[cfg(not(feature = "otel"))]
pub fn init_service(settings: &Settings) -> Result<Traces, TelemetryError> {
    super::log::init(&settings.telemetry).map(|()| Traces {})
}

/// Installs the log of a service, as [`super::init`] does, and its traces; to be called once.
#[cfg(feature = "otel")]
pub fn init_service(settings: &Settings) -> Result<Traces, TelemetryError> {
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    let Some(sending) = super::collector::Sending::start(&settings.otel).map_err(TelemetryError::Traces)? else {
        return super::log::init(&settings.telemetry).map(|()| Traces { sending: None });
    };
    let filter = super::log::filter(&settings.telemetry)?;
    let log = super::log::layer(&settings.telemetry, std::io::stderr().is_terminal(), std::io::stderr);
    tracing_subscriber::registry().with(log.with_filter(filter)).with(sending.layer()).try_init()?;
    Ok(Traces { sending: Some(sending) })
}

impl Traces {
    /// Sends what has ended and was not sent yet, and takes nothing more. Gives up after `within`.
    pub async fn flush(self, within: Duration) {
        #[cfg(feature = "otel")]
        if let Some(sending) = self.sending {
            // It waits for a thread.
            let _ = tokio::task::spawn_blocking(move || sending.end(within)).await;
        }
        #[cfg(not(feature = "otel"))]
        let _ = within;
    }
}
