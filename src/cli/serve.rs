//! `ade serve`: the service, until a signal ends it.

use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret as _;

use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::signals::Signals;
use crate::app::{Application, StartError};
use crate::config::Settings;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on, such as localhost or 127.0.0.1:8000; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
}

/// The first signal asks for a graceful end, a second one for an end at once.
pub async fn serve(settings: Settings) -> Result<Exit, CommandError> {
    let traces = telemetry::init_service(&settings).map_err(CommandError::failed)?;
    for variable in &settings.unknown {
        tracing::warn!(variable, "not a setting");
    }
    raise_open_files();
    let mut end = End::of(&settings);
    let outcome = run(settings, &mut end).await;
    traces.flush(end.left()).await;
    outcome
}

async fn run(settings: Settings, end: &mut End) -> Result<Exit, CommandError> {
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let application = match Application::build_unless(settings, signals.next()).await {
        Err(StartError::Stopped) => {
            end.asked_for(false);
            return Ok(Exit::Succeeded);
        }
        built => built.map_err(CommandError::failed)?,
    };
    let first_key = application.first_key().await.map_err(CommandError::failed)?;
    let stop = application.stop_handle();
    let url = application.url();
    let mut running = std::pin::pin!(application.run());
    print_line(&format!("listening on {url}"));
    if let Some(key) = first_key {
        // This once: nobody can show it again.
        print_line(&format!("admin key {}", key.expose_secret()));
    }
    let mut graceful = true;
    loop {
        tokio::select! {
            ended = &mut running => return ended.map(|()| Exit::Succeeded).map_err(CommandError::failed),
            () = signals.next() => {
                tracing::info!(graceful, "stop asked for by a signal");
                end.asked_for(graceful);
                stop.stop(graceful);
                graceful = false;
            }
        }
    }
}

/// What is left of the time that the service has to end.
struct End {
    drain_timeout: Duration,
    flush_timeout: Duration,
    until: Option<Instant>,
}

impl End {
    /// For the last spans, when work has taken all of the time: a collector that is near takes no longer.
    const LEAST: Duration = Duration::from_secs(1);

    fn of(settings: &Settings) -> Self {
        Self { drain_timeout: settings.server.drain_timeout, flush_timeout: settings.otel.timeout, until: None }
    }

    /// Who asks again has no time.
    fn asked_for(&mut self, graceful: bool) {
        let now = Instant::now();
        self.until = Some(if graceful { now + self.drain_timeout } else { now });
    }

    fn left(&self) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        left.unwrap_or(self.flush_timeout).clamp(Self::LEAST, self.flush_timeout.max(Self::LEAST))
    }
}

/// A log that is open takes two files, a reader's connection one, and a full queue has a thousand logs: more than the
/// 1024 files that a process is usually given, and far fewer than it may ask for.
fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(soft, hard, error = %error, "the limit of open files could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_spans_have_what_is_left_of_the_time() {
        let end = |drain: u64, flush: u64| End {
            drain_timeout: Duration::from_secs(drain),
            flush_timeout: Duration::from_secs(flush),
            until: None,
        };
        let asked = |mut end: End, signals: &[bool]| {
            signals.iter().for_each(|graceful| end.asked_for(*graceful));
            end.left()
        };
        assert_eq!(asked(end(30, 10), &[]), Duration::from_secs(10), "it has ended by itself");
        assert_eq!(asked(end(1800, 10), &[true]), Duration::from_secs(10));
        let left = asked(end(1800, 3600), &[true]);
        assert!(left > Duration::from_secs(60) && left <= Duration::from_secs(1800), "{left:?}");
        assert_eq!(asked(end(0, 10), &[true]), End::LEAST);
        assert_eq!(asked(end(1800, 10), &[true, false]), End::LEAST, "who asks again has no time");
    }
}
