//! Whether the process of a node is there, asked by way of the servers that keep its journal.
//!
//! A process that answers is at work, whatever a database has heard of it. One that does not may be at work all the same, cut
//! off: only a fence decides.

use std::time::Duration;

use async_nats::{Client, Request};
use futures_util::StreamExt as _;

use super::link::Link;
use super::options::ClusterOptions;
use super::stop::Stop;

const PATIENCE: Duration = Duration::from_secs(1);

fn subject(stream: &str) -> String {
    format!("{stream}-ping")
}

/// Answers for as long as the connection lives.
pub(super) async fn answer(nats: Client, stream: String) {
    let Ok(mut asked) = nats.subscribe(subject(&stream)).await else { return };
    while let Some(message) = asked.next().await {
        if let Some(reply) = message.reply {
            let _ = nats.publish(reply, message.payload).await;
        }
    }
}

/// Whether the process that writes the journal of these options answers; an error where the servers do not. Blocks.
pub fn answers(options: &ClusterOptions, stop: &Stop) -> Result<bool, String> {
    let link = Link::connect(options, stop).map_err(|error| error.to_string())?;
    let request = Request::new().timeout(Some(PATIENCE));
    let asked = link.nats().send_request(subject(&options.stream()), request);
    match link.within(2 * PATIENCE, asked) {
        Some(Ok(_)) => Ok(true),
        // Nobody listens, or nobody has answered.
        Some(Err(_)) if link.is_connected() => Ok(false),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("no answer from the servers".to_owned()),
    }
}
