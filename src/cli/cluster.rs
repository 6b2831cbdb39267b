//! `ade cluster`: which nodes there are, as the running service knows them.

use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::service::attach;
use crate::config::Settings;
use crate::domain::text::printable;
use crate::telemetry;

const PATH: &str = "/api/v1/system/nodes";

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the nodes that share the database, and which of them are at work.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn cluster(command: &ClusterCommand, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    let client = attach(&settings, server).await.map_err(CommandError::failed)?;
    let answer = client.get(PATH).await.map_err(CommandError::failed)?;
    let ClusterCommand::Status { json } = command;
    match json {
        true => print_line(&answer.to_string()),
        false => print_line(&to_table(answer["items"].as_array().map_or(&[], Vec::as_slice))),
    }
    Ok(Exit::Succeeded)
}

fn to_table(nodes: &[Value]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["node", "name", "address", "state", "alive", "version", "seen", ""]);
    for node in nodes {
        let text = |member: &str| printable(node[member].as_str().unwrap_or("-"));
        let alive = if node["alive"] == true { "yes" } else { "no" };
        let own = if node["is_self"] == true { "answers" } else { "" };
        let [id, name, address, state] = ["node_id", "name", "address", "state"].map(text);
        table.add_row([id, name, address, state, alive.into(), text("version"), text("seen_at"), own.into()]);
    }
    table.to_string()
}
