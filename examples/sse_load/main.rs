//! Load on one event stream, and proof that every reader got all of it.
//!
//! ```text
//! cargo run --release --example sse_load -- --url http://127.0.0.1:8000/api/v1/runs/run_.../events/stream --readers 400
//! ```
//!
//! Opens many readers of one SSE address and checks for each that its ids run from the first to the last without gap
//! or repeat, and that the stream ends. Tells deliveries per second and the time from a `t=<nanoseconds since 1970>`
//! mark inside the data to its arrival. Some of the readers can be made stalled (they never read), slow (they pause
//! after every read) or forgetful (they hang up after so many events and come back with `Last-Event-ID`).
//! With `--hold` nothing is read at all after the heads: it tells what that many open streams cost the server.
//!
//! One thread, plain sockets and a scan for line ends, so that the driver takes little of the machine it measures.

mod body;
mod connection;
mod memory;
mod options;
mod reader;
mod scan;
mod tally;

use std::cell::RefCell;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::task::LocalSet;

use connection::Target;
use memory::{Memory, tell_memory};
use options::Options;
use reader::{check, stall};
use tally::Tally;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let complete = LocalSet::new().block_on(&runtime, drive(Rc::new(options)));
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every checked reader got everything.
async fn drive(options: Rc<Options>) -> bool {
    let Some(target) = Target::parse(&options) else {
        eprintln!("the url must be http://host:port/path");
        return false;
    };
    let (target, tally) = (Rc::new(target), Rc::new(RefCell::new(Tally::new(Duration::from_secs(options.settle)))));
    let before = Memory::of(options.server_pid);
    let opened = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..options.readers + options.stalled {
        let (options, target, tally) = (options.clone(), target.clone(), tally.clone());
        tasks.push(tokio::task::spawn_local(async move {
            match number < options.readers && options.hold == 0 {
                true => check(number, &options, &target, &tally).await,
                false => stall(&options, &target, &tally).await,
            }
        }));
        if number % 256 == 255 {
            // Lets the accept queue of the server drain.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let deadline = opened + Duration::from_secs(options.timeout);
    await_heads(&tally, tasks.len(), deadline).await;
    println!("opened {} streams in {} ms", tally.borrow().heads, opened.elapsed().as_millis());
    announce(options.ready_file.as_deref());
    if options.hold > 0 {
        tokio::time::sleep(Duration::from_secs(options.hold)).await;
        tell_memory(&before, options.server_pid, tally.borrow().heads);
        return tally.borrow().failures.is_empty();
    }
    for task in tasks.into_iter().take(options.readers) {
        let left = deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, task).await.is_err() {
            break;
        }
    }
    tell_memory(&before, options.server_pid, tally.borrow().heads);
    tally.borrow_mut().tell(&options)
}

async fn await_heads(tally: &RefCell<Tally>, expected: usize, deadline: Instant) {
    while tally.borrow().heads + tally.borrow().failures.len() < expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn announce(ready_file: Option<&Path>) {
    if let Some(Err(error)) = ready_file.map(|path| std::fs::write(path, "ready\n")) {
        eprintln!("ready file: {error}");
    }
}
