//! Readers of one stream, in a process of their own: the example `sse_load`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::bench::programs;
use super::child::{Owned, await_file};
use super::{Bench, Outcome};

const OPENING: Duration = Duration::from_secs(120);

pub struct Load {
    process: Owned,
    ready: PathBuf,
    said: PathBuf,
}

impl Load {
    /// Starts readers of `url`; `arguments` are those of the example.
    pub fn start(bench: &Bench, url: &str, arguments: &[(&str, u64)]) -> Outcome<Self> {
        Self::start_with(bench, url, arguments, &[])
    }

    /// As [`Load::start`], with flags that have no value.
    pub fn start_with(bench: &Bench, url: &str, arguments: &[(&str, u64)], flags: &[&str]) -> Outcome<Self> {
        let (ready, said) = (bench.fresh_path("ready"), bench.fresh_path("said"));
        let mut command = Command::new(program()?);
        command.args(["--json", "--timeout", "1800", "--url", url]).arg("--ready-file").arg(&ready);
        for (name, value) in arguments {
            command.arg(format!("--{name}")).arg(value.to_string());
        }
        command.args(flags).stdin(Stdio::null()).stdout(std::fs::File::create_new(&said)?);
        Ok(Self { process: Owned::spawn(&mut command, Duration::from_secs(2))?, ready, said })
    }

    /// Returns when every reader has its response head.
    pub fn await_ready(&mut self) -> Outcome {
        await_file(&self.ready, &mut self.process, OPENING)
    }

    /// Waits for the end of the stream at every reader, and for all of it having come.
    pub fn finish(mut self, limit: Duration) -> Outcome<Value> {
        self.process.wait(limit)?;
        let said = std::fs::read_to_string(&self.said)?;
        let last = said.lines().last().ok_or("the readers said nothing")?;
        let result: Value = serde_json::from_str(last).map_err(|_| format!("the readers failed: {said}"))?;
        if result["complete"] == true { Ok(result) } else { Err(format!("not all was delivered: {result}").into()) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ready);
        let _ = std::fs::remove_file(&self.said);
    }
}

fn program() -> Outcome<PathBuf> {
    let path = programs().join("examples/sse_load");
    if path.exists() {
        return Ok(path);
    }
    Err("`cargo build --release --example sse_load` comes first".into())
}

/// A number of the readers' result.
pub fn number(result: &Value, pointer: &str) -> Outcome<f64> {
    Ok(result.pointer(pointer).and_then(Value::as_f64).ok_or_else(|| format!("no {pointer} in {result}"))?)
}
