//! What readers cost: idle ones, and ones that never read while a hundred megabytes pass.
//!
//! `cargo bench --bench memory -- [--quick]`, after `cargo build --release --example sse_load`. The number of open
//! files must allow for the connections: `ulimit -n 20000`.

mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use support::child::{Owned, await_file};
use support::load::{Load, number};
use support::memory::{Memory, Watch};
use support::service::Site;
use support::{Bench, Outcome};

const LIMIT: Duration = Duration::from_secs(600);
/// Until allocators and sockets have come to rest, which nothing tells: the program just sleeps for so long.
const REST: Duration = Duration::from_secs(3);
/// Seconds in which the sockets of those who never read fill up.
const SETTLE: u64 = 3;
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

fn main() -> ExitCode {
    // The program starts itself a second time for the bare server.
    if let Some(told) = std::env::var_os("BARE_SERVER_TELLS") {
        return serve_bare(told.into());
    }
    support::run("memory", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let connections = bench.pick(5000, 500);
    let mut site = Site::scripted(bench, &[("ADE_SSE_STALL_TIMEOUT", "30m")])?;
    for _ in 0..bench.runs(3) {
        if bench.wants("idle") {
            let bare = idle_bare(bench, connections)?;
            bench.report.add(&format!("{connections} idle, bare actix-web"), "KiB each", bare / KIB);
            site = site.restart()?;
            let ours = idle_ours(bench, &site, connections)?;
            bench.report.add(&format!("{connections} idle"), "KiB each", ours / KIB);
        }
        if bench.wants("stalled") {
            for connections in [0, connections] {
                site = site.restart()?;
                stalled(bench, &site, connections)?;
            }
        }
    }
    Ok(())
}

/// Resident bytes for each idle reader of a service.
fn idle_ours(bench: &Bench, site: &Site, connections: u64) -> Outcome<f64> {
    let gate = bench.fresh_path("gate");
    let run = site.start_run(&[("gate", gate.display().to_string())])?;
    let each = idle(bench, site.service.pid(), &site.service.stream_url(&run)?, connections)?;
    std::fs::write(&gate, "")?;
    site.finished_run(&run, LIMIT)?;
    Ok(each)
}

/// The same for a server that does nothing but hold the connections.
fn idle_bare(bench: &Bench, connections: u64) -> Outcome<f64> {
    let told = bench.fresh_path("bare");
    let mut command = Command::new(std::env::current_exe()?);
    command.env("BARE_SERVER_TELLS", &told).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = Owned::spawn(&mut command, Duration::from_secs(5))?;
    await_file(&told, &mut server, Duration::from_secs(20))?;
    let url = format!("http://{}/", std::fs::read_to_string(&told)?);
    idle(bench, server.id(), &url, connections)
}

fn idle(bench: &Bench, pid: u32, url: &str, connections: u64) -> Outcome<f64> {
    // A first few, so that what every connection shares is there already.
    drop(held(bench, url, 20)?);
    std::thread::sleep(REST);
    let before = Memory::of(pid);
    let load = held(bench, url, connections)?;
    std::thread::sleep(REST);
    let after = Memory::of(pid);
    drop(load);
    Ok(after.resident.saturating_sub(before.resident) as f64 / connections as f64)
}

/// Readers that take the head and then never read.
fn held(bench: &Bench, url: &str, connections: u64) -> Outcome<Load> {
    let mut load = Load::start(bench, url, &[("readers", 0), ("stalled", connections), ("hold", 3600)])?;
    load.await_ready()?;
    Ok(load)
}

/// A hundred megabytes pass by readers that never read, and by one that does.
fn stalled(bench: &mut Bench, site: &Site, connections: u64) -> Outcome {
    let (gate, seconds) = (bench.fresh_path("gate"), bench.pick(20, 4));
    let run = site.start_run(&[
        ("mode", "paced".into()),
        ("gate", gate.display().to_string()),
        // 1.3 kB in the log each.
        ("rate", "4000".into()),
        ("size", "930".into()),
        ("seconds", seconds.to_string()),
    ])?;
    let (url, pid) = (site.service.stream_url(&run)?, site.service.pid());
    let stalled = if connections > 0 { Some(held(bench, &url, connections)?) } else { None };
    let mut fast = Load::start(bench, &url, &[("readers", 1), ("buffer", 65536), ("settle", SETTLE)])?;
    fast.await_ready()?;
    std::thread::sleep(REST);
    let (idle, watch) = (Memory::of(pid), Watch::start(pid));
    std::fs::write(&gate, "")?;
    let result = fast.finish(LIMIT)?;
    let most = watch.finish();
    drop(stalled);
    site.finished_run(&run, LIMIT)?;
    let log = std::fs::metadata(site.log_file(&run))?.len();
    tell_stalled(bench, connections, &result, idle, most, log)
}

fn tell_stalled(bench: &mut Bench, connections: u64, result: &Value, idle: Memory, most: Memory, log: u64) -> Outcome {
    let name = format!("{connections} stalled");
    bench.report.add(&format!("{name}, log that passed"), "MB", log as f64 / 1e6);
    let beyond = |most: u64, idle: u64| most.saturating_sub(idle) as f64 / MIB;
    bench.report.add(&format!("{name}, resident beyond idle"), "MiB", beyond(most.resident, idle.resident));
    bench.report.add(&format!("{name}, kernel tcp beyond idle"), "MiB", beyond(most.sockets, idle.sockets));
    for (when, which) in [("", "latency_us"), (" once they are full", "settled_latency_us")] {
        for quantile in ["p50", "p99"] {
            let latency = number(result, &format!("/{which}/{quantile}"))? / 1000.0;
            bench.report.add(&format!("{name}, a fast reader beside them{when}, {quantile}"), "ms", latency);
        }
    }
    Ok(())
}

/// Serves one open stream to everybody until it is ended; tells its address.
fn serve_bare(told: PathBuf) -> ExitCode {
    let served = actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(|| App::new().default_service(web::to(open_stream)));
        let server = server.workers(2).max_connections(50_000).backlog(4096).bind("127.0.0.1:0")?;
        // Under another name first: who waits for the file must find it whole.
        let draft = told.with_extension("draft");
        std::fs::write(&draft, server.addrs()[0].to_string())?;
        std::fs::rename(draft, told)?;
        server.run().await
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn open_stream() -> HttpResponse {
    let opening = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"retry: 1000\n\n"))]);
    HttpResponse::Ok().content_type("text/event-stream").streaming(opening.chain(stream::pending()))
}
