//! An engine that prints as fast as it can, and one reader: events a second from the engine's first byte until the
//! terminal event is durable and delivered.
//!
//! `cargo bench --bench engine_firehose -- [--quick]`, after `cargo build --release --example sse_load`.

mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use memchr::memmem;
use serde_json::Value;
use support::load::{Load, number};
use support::service::Site;
use support::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    support::run("engine_firehose", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let site = Site::scripted(bench, &[])?;
    let events = bench.pick(3_000_000, 200_000);
    for _ in 0..bench.runs(5) {
        let (rate, engine_alone) = flood(bench, &site, events)?;
        bench.report.add("engine to one reader, durable", "events/s", rate);
        bench.report.add("the engine's own pace while it printed", "events/s", engine_alone);
    }
    Ok(())
}

/// Events a second: in all, and as the engine could get rid of them.
fn flood(bench: &Bench, site: &Site, events: u64) -> Outcome<(f64, f64)> {
    let (gate, told) = (bench.fresh_path("gate"), bench.fresh_path("told"));
    let run = site.start_run(&[
        ("mode", "flood".into()),
        ("events", events.to_string()),
        ("gate", gate.display().to_string()),
        ("report", told.display().to_string()),
    ])?;
    let mut load = Load::start(bench, &site.service.stream_url(&run)?, &[("readers", 1), ("buffer", 256 << 10)])?;
    load.await_ready()?;
    std::fs::write(&gate, "")?;
    let result = load.finish(LIMIT)?;
    site.finished_run(&run, LIMIT)?;
    check(&site.log_file(&run), events)?;
    let written: Value = serde_json::from_slice(&std::fs::read(&told)?)?;
    let (first, last) = (number(&written, "/first")?, number(&written, "/last")?);
    let seconds = (number(&result, "/last_unix_ns")? - first) / 1e9;
    std::fs::remove_file(site.log_file(&run))?;
    Ok((events as f64 / seconds, events as f64 / (last - first) * 1e9))
}

/// Every event of the engine is in the log.
fn check(log: &Path, events: u64) -> Outcome {
    let found = memmem::find_iter(&std::fs::read(log)?, b"{\"type\":\"run.row\"").count() as u64;
    if found == events { Ok(()) } else { Err(format!("{found} of {events} events are in the log").into()) }
}
