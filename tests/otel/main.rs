//! Traces: the real program, built with the feature `otel`, and a collector that decodes what it gets.

#[path = "../faults/support/mod.rs"]
mod support;

mod collector;
mod delivery;
mod spans;

use collector::Collector;
use support::server::Settings;

/// Settings of a service that sends its spans to this collector.
fn settings(collector: &Collector) -> Settings {
    let mut settings = support::server::settings();
    settings.insert("ADE_OTEL_ENDPOINT", collector.url());
    settings
}
