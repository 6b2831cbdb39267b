//! Five hundred executions at once on the builtin provider, each followed by a reader: from a step's end to its event at
//! the reader, and steps a second when no call takes any time.
//!
//! `cargo bench --bench executions -- [--quick]`. Service and readers are processes of their own on the same machine; the
//! readers are one thread.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use support::child::poll;
use support::memory::Watch;
use support::report::histogram;
use support::service::Service;
use support::{Bench, Outcome};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const STEPS: usize = 5;
/// One execution that says nothing for this long fails the program.
const SILENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    support::run("executions", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let count = bench.pick(500, 50);
    let call = Duration::from_secs(bench.pick(4, 1));
    for (name, call) in [("calls of some seconds", call), ("calls that take no time", Duration::ZERO)] {
        let name = format!("{count} executions, {name}");
        for _ in 0..if bench.wants(&name) { bench.runs(3) } else { 0 } {
            run(bench, &name, count, call)?;
        }
    }
    Ok(())
}

/// Executions that begin evenly over the time of one call, so that their steps do not end all at once.
fn run(bench: &mut Bench, name: &str, count: usize, call: Duration) -> Outcome {
    let data = bench.fresh_path("data");
    std::fs::create_dir_all(&data)?;
    let service = Service::start(&data, &[])?;
    service.client()?.post("/api/v1/workflows", &definition(call))?;
    let memory = Watch::start(service.pid());
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lives = runtime.block_on(async {
        let tasks = (0..count).map(|number| {
            let pause = call * u32::try_from(number).unwrap_or(0) / u32::try_from(count).unwrap_or(1);
            live(service.address, number, pause)
        });
        futures_util::future::try_join_all(tasks).await
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let mut latency = histogram();
    for life in &lives {
        latency.add(&life.latency)?;
    }
    let steps = count * STEPS;
    if latency.len() != steps as u64 {
        return Err(format!("{} of {steps} steps were seen to end", latency.len()).into());
    }
    bench.report.add(&format!("{name}, steps"), "steps/s", steps as f64 / seconds);
    bench.report.add(
        &format!("{name}, events"),
        "events/s",
        lives.iter().map(|life| life.events).sum::<u64>() as f64 / seconds,
    );
    bench.report.add_latency(&format!("{name}, step's end to reader"), &latency);
    bench.report.add(&format!("{name}, resident"), "MiB", memory.finish().resident as f64 / f64::from(1 << 20));
    check_ledger(&service, steps)
}

/// A chain of steps, each of which reads what the one before has written.
fn definition(call: Duration) -> Value {
    let task = format!("Write it.\nbuiltin: delay {}", call.as_millis());
    let step = |number: usize| {
        let inputs: Vec<_> = (number > 0).then(|| format!("text-{}", number - 1)).into_iter().collect();
        json!({
            "step_id": format!("step-{number}"), "name": "Write", "role": "writer", "task_prompt": "write", "inputs": inputs,
            "output": format!("text-{number}"), "output_schema": "text", "provider": "builtin", "model": "builtin-small",
            "allow_clarification": false, "is_final": number + 1 == STEPS,
        })
    };
    json!({
        "schema_version": "workflow.v1", "workflow_id": "chain", "name": "Chain",
        "prompts": {"roles": {"writer": "You write."}, "tasks": {"write": task}},
        "schemas": {"text": {
            "type": "object", "required": ["title", "points"],
            "properties": {
                "title": {"type": "string"}, "points": {"type": "array", "minItems": 5, "items": {"type": "string"}},
            },
        }},
        "steps": (0..STEPS).map(step).collect::<Vec<_>>(),
    })
}

/// What the reader of one execution has seen.
struct Life {
    events: u64,
    /// From a step's end, as its event tells it, to the event at the reader.
    latency: Histogram<u64>,
}

/// Creates an execution with its stream as the answer, and reads to its end.
async fn live(address: SocketAddr, number: usize, pause: Duration) -> Result<Life, String> {
    tokio::time::sleep(pause).await;
    let outcome = async {
        let mut lines = open(address, number).await?;
        let mut life = Life { events: 0, latency: histogram() };
        let mut line = String::new();
        loop {
            line.clear();
            let read = tokio::time::timeout(SILENCE, lines.read_line(&mut line)).await;
            if read.map_err(|_| "nothing comes".to_owned())?.map_err(|error| error.to_string())? == 0 {
                return Err("the stream has ended without an end".to_owned());
            }
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let now = Utc::now();
            if take(&mut life, event.trim_end(), now)? {
                return Ok(life);
            }
        }
    };
    outcome.await.map_err(|error| format!("execution {number}: {error}"))
}

async fn open(address: SocketAddr, number: usize) -> Result<BufReader<TcpStream>, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect(address).await.map_err(text)?;
    let body = json!({"workflow_id": "chain", "scope_type": "bench", "scope_id": number.to_string(), "stream": true})
        .to_string();
    // Of HTTP/1.0, so that the body comes without the marks of chunks.
    let head = format!(
        "POST /api/v1/executions HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.map_err(text)?;
    let mut lines = BufReader::with_capacity(16 << 10, socket);
    let mut status = String::new();
    lines.read_line(&mut status).await.map_err(text)?;
    if status.contains(" 200 ") || status.contains(" 201 ") {
        return Ok(lines);
    }
    let mut rest = String::new();
    let _ = lines.read_to_string(&mut rest).await;
    Err(format!("{status}{rest}"))
}

/// Counts an event; true behind the last.
fn take(life: &mut Life, line: &str, now: DateTime<Utc>) -> Result<bool, String> {
    life.events += 1;
    let is_end = line.starts_with(r#"{"type":"complete""#);
    if !is_end && !line.starts_with(r#"{"type":"step_completed""#) {
        return Ok(false);
    }
    let event: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    if event["sequence"] != life.events {
        return Err(format!("event {} is the {}th: {line}", event["sequence"], life.events));
    }
    if is_end {
        return if event["payload"]["status"] == "completed" { Ok(true) } else { Err(line.to_owned()) };
    }
    let ended = event["created_at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()).ok_or("no time")?;
    life.latency.saturating_record((now - ended).num_microseconds().unwrap_or(0).max(1).unsigned_abs());
    Ok(false)
}

/// No call was lost, failed or counted twice.
fn check_ledger(service: &Service, steps: usize) -> Outcome {
    let mut client = service.client()?;
    // It follows the logs, and has no reader to wait for.
    poll("the last call in the ledger", SILENCE, || {
        let totals = client.get("/api/v1/telemetry/summary")?["totals"].clone();
        if totals["errors"] != 0 {
            return Err(format!("calls have failed: {totals}").into());
        }
        Ok((totals["calls"] == steps).then_some(()))
    })
}
