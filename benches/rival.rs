//! Durable appends to durable-streams-server 0.1.5, over HTTP, with its durable defaults (`--durability wal`).
//!
//! `cargo install durable-streams --version 0.1.5`, then `cargo bench --bench rival -- [--quick]`. The program is looked
//! for in `DURABLE_STREAMS_SERVER`, else on the PATH; where there is none nothing is measured. Fan-out is compared by
//! `fanout`.

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use support::report::histogram;
use support::rival::{Connection, DurableStreams, EVENT, runtime, unix_now};
use support::{Bench, Outcome};
use tokio::task::LocalSet;

fn main() -> ExitCode {
    support::run("rival", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let Some(rival) = DurableStreams::start(bench)? else { return Ok(()) };
    let runtime = runtime()?;
    for (streams, in_flight) in [(100, 64), (100, 1), (1, 1)] {
        let name = format!("{streams} stream{}, {in_flight} in flight", if streams == 1 { "" } else { "s" });
        for _ in 0..if bench.wants(&name) { bench.runs(5) } else { 0 } {
            let phases = bench.pick((1000, 5000), (200, 800));
            let load = LocalSet::new().block_on(&runtime, appends(rival.address, streams, in_flight, phases))?;
            bench.report.add(&name, "events/s", load.in_time as f64 / phases.1 as f64 * 1e3);
            bench.report.add_latency(&name, &load.latency);
        }
    }
    Ok(())
}

/// What producers have measured.
struct Appends {
    /// Acknowledged within the measured time.
    in_time: u64,
    /// Of those that were begun within it, also when they ended later.
    latency: Histogram<u64>,
}

/// One connection for each event in flight; each waits for its last append. The phases are milliseconds.
async fn appends(address: SocketAddr, streams: usize, in_flight: usize, phases: (u64, u64)) -> Outcome<Appends> {
    let prefix = format!("a{}", unix_now());
    let mut connections = Vec::new();
    for stream in 0..streams {
        let path: Rc<str> = format!("/{prefix}-{stream}").into();
        for number in 0..in_flight {
            let mut connection = Connection::open(address, path.clone()).await?;
            if number == 0 {
                connection.create().await?;
            }
            connections.push(connection);
        }
    }
    let begin = Instant::now() + Duration::from_millis(phases.0);
    let end = begin + Duration::from_millis(phases.1);
    let body: Arc<[u8]> = vec![b'x'; EVENT].into();
    let load = Rc::new(RefCell::new(Appends { in_time: 0, latency: histogram() }));
    let tasks = connections.into_iter().map(|mut connection| {
        let (body, load) = (body.clone(), load.clone());
        tokio::task::spawn_local(async move {
            let mut asked = Instant::now();
            while asked < end {
                connection.append(&body).await.map_err(|error| error.to_string())?;
                let (answered, mut load) = (Instant::now(), load.borrow_mut());
                load.in_time += u64::from(answered >= begin && answered < end);
                if asked >= begin {
                    load.latency.saturating_record((answered - asked).as_micros() as u64);
                }
                asked = answered;
            }
            Ok::<_, String>(())
        })
    });
    for ended in join_all(tasks.collect::<Vec<_>>()).await {
        ended??;
    }
    Ok(load.replace(Appends { in_time: 0, latency: histogram() }))
}
