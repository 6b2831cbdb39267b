//! `ade serve`: the service, until a signal ends it.

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret as _;

use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::signals::Signals;
use crate::app::Application;
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
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    for variable in &settings.unknown {
        tracing::warn!(variable, "not a setting");
    }
    raise_open_files();
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let application = Application::build(settings).await.map_err(CommandError::failed)?;
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
                stop.stop(graceful);
                graceful = false;
            }
        }
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
