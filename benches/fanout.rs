//! One run and many readers: the time from the engine's write to the reader's receipt at 50 events a second, in turns
//! with two other servers where they are installed, and deliveries a second when the engine prints as fast as it can.
//!
//! `cargo bench --bench fanout -- [--quick]`, after `cargo build --release --example sse_load`. The others are Nchan
//! (`apt-get install nginx-light libnginx-mod-nchan`) and durable-streams-server (see `rival`).

mod support;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use support::load::{Load, number};
use support::rival::{DurableStreams, Nchan, Pace};
use support::service::Site;
use support::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(900);
const RATE: u64 = 50;

fn main() -> ExitCode {
    support::run("fanout", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let site = Site::scripted(bench, &[])?;
    let rivals = (Nchan::start(bench)?, DurableStreams::start(bench)?);
    for readers in [1, 100, 1000] {
        let pace = Pace { readers, rate: RATE, seconds: bench.pick(20, 4) };
        let name = format!("{readers} reader{}, {RATE} events/s", if readers == 1 { "" } else { "s" });
        for _ in 0..if bench.wants(&name) { bench.runs(3) } else { 0 } {
            let orders = [("mode", "paced".into()), ("rate", RATE.to_string()), ("seconds", pace.seconds.to_string())];
            let result = run(bench, &site, readers, &orders)?;
            tell(bench, &name, pace, &result)?;
            if let Some(nchan) = &rivals.0 {
                let result = nchan.paced(bench, pace)?;
                tell(bench, &format!("{name}, Nchan"), pace, &result)?;
            }
            if let Some(durable_streams) = &rivals.1 {
                let result = durable_streams.paced(bench, pace)?;
                tell(bench, &format!("{name}, durable-streams"), pace, &result)?;
            }
        }
    }
    let (name, events) = ("1000 readers, as fast as possible", bench.pick(30_000, 2000));
    for _ in 0..if bench.wants(name) { bench.runs(3) } else { 0 } {
        let result = run(bench, &site, 1000, &[("mode", "flood".into()), ("events", u64::to_string(&events))])?;
        let rate = number(&result, "/deliveries_per_second")?;
        bench.report.add(name, "deliveries/s", rate);
        bench.report.add(
            &format!("{name}, bytes"),
            "MB/s",
            number(&result, "/bytes")? / number(&result, "/seconds")? / 1e6,
        );
    }
    Ok(())
}

/// What the readers of one run tell; the engine waits until all of them are there.
fn run(bench: &Bench, site: &Site, readers: u64, orders: &[(&str, String)]) -> Outcome<Value> {
    let gate = bench.fresh_path("gate");
    let mut orders = orders.to_vec();
    orders.push(("gate", gate.display().to_string()));
    let run = site.start_run(&orders)?;
    let mut load = Load::start(bench, &site.service.stream_url(&run)?, &[("readers", readers)])?;
    load.await_ready()?;
    std::fs::write(&gate, "")?;
    let result = load.finish(LIMIT)?;
    site.finished_run(&run, LIMIT)?;
    Ok(result)
}

/// Latencies, if every event came to every reader with its mark.
fn tell(bench: &mut Bench, name: &str, pace: Pace, result: &Value) -> Outcome {
    let (marks, expected) = (number(result, "/marks")? as u64, pace.readers * pace.events());
    if marks != expected {
        return Err(format!("{name}: {marks} of {expected} events arrived").into());
    }
    for quantile in ["p50", "p99"] {
        let latency = number(result, &format!("/latency_us/{quantile}"))? / 1000.0;
        bench.report.add(&format!("{name}, {quantile}"), "ms", latency);
    }
    Ok(())
}
