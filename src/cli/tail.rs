//! `ade tail`: the events of a run, a build or an execution, to its end; or of a workspace, until interrupted.

use clap::Args;

use super::client::ClientError;
use super::exit::{CommandError, Exit};
use super::follow::{Follower, Target};
use super::lines::line_of;
use super::output::{self, print_line};
use super::report::Report;
use super::service::{Service, attach_or_start};
use crate::config::Settings;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct TailArgs {
    /// Id of a run, a build or an execution, or of a workspace for its feed.
    id: String,
    /// Start after this sequence.
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Only these types, such as `run.*,console.line`; the terminal event is always included.
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Print the lines of the log unchanged.
    #[arg(long)]
    json: bool,
}

pub async fn tail(arguments: &TailArgs, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    let target = Target::parse(&arguments.id).ok_or_else(|| {
        CommandError::Usage(format!("{:?} is not the id of a run, a build, an execution or a workspace", arguments.id))
    })?;
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    let service = attach_or_start(settings, server).await.map_err(CommandError::failed)?;
    let result = tokio::select! {
        result = follow(arguments, &target, &service) => result.map_err(CommandError::failed),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    };
    service.close(true).await;
    result
}

async fn follow(arguments: &TailArgs, target: &Target, service: &Service) -> Result<Exit, ClientError> {
    let client = service.client();
    let mut follower = Follower::new(client.clone(), target, arguments.after, arguments.types.as_deref());
    let mut report = Report::default();
    while !output::has_failed()
        && let Some(received) = follower.next().await?
    {
        report.apply(&received.event);
        if arguments.json {
            print_line(&received.line);
        } else if let Some(line) = line_of(&received.event) {
            // Only a feed has events of more than one stream.
            let origin = received.event["payload"]["origin"]["stream"].as_str().map(|id| format!("{id} "));
            print_line(&format!("{:>6} {}{line}", received.event["sequence"], origin.unwrap_or_default()));
        }
    }
    if report.status.is_none() {
        // The position given was the end already; the resource knows how it ended.
        report.status = client.get(&target.path()).await?["status"].as_str().map(str::to_owned);
    }
    Ok(Exit::of_success(report.succeeded()))
}
