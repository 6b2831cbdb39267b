//! The real program, as a child process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use ade_test_support::TIMEOUT;

use serde_json::Value;

use super::http::{Request, Response};
use super::{eventually, process, tools};

/// Settings of the service, by the names of their variables.
pub type Settings = BTreeMap<&'static str, String>;

/// Quick, quiet and with the scripted engine.
pub fn settings() -> Settings {
    Settings::from([
        ("ADE_ENGINE_SPEC", tools::package("engine").display().to_string()),
        ("ADE_CANCEL_GRACE", "1s".into()),
        ("ADE_MAX_CONCURRENCY", "4".into()),
        ("ADE_DRAIN_TIMEOUT", "20s".into()),
    ])
}

/// As [`settings`], without isolation, as on a kernel that has none: engines can do what it would keep them from, and what
/// must hold then holds whatever they do.
pub fn without_isolation() -> Settings {
    let mut settings = settings();
    settings.insert("ADE_ISOLATION", "off".into());
    settings
}

/// Runs a command, which must succeed; what it prints.
#[track_caller]
pub fn succeeds(data_dir: &Path, settings: &Settings, arguments: &[&str]) -> String {
    let output = ade(data_dir, settings).args(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The program with nothing of this test's environment but what it needs.
pub fn ade(data_dir: &Path, settings: &Settings) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ade"));
    let kept = ["HOME", "LANG", "TMPDIR", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
    let more = ["no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CONFIG_FILE", "PIP_CERT"];
    let index = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE", "PIP_EXTRA_INDEX_URL"];
    command.env_clear().env("PATH", tools::path()).env("ADE_DATA_DIR", data_dir).env("ADE_BIND", "127.0.0.1:0");
    for name in kept.into_iter().chain(more).chain(index) {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.envs(settings).stdin(Stdio::null());
    command
}

/// A running service; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it speaks plain HTTP.
    pub address: SocketAddr,
    /// Where it speaks TLS, if it does.
    pub encrypted: Option<SocketAddr>,
    pub data_dir: PathBuf,
    /// Held, since a write into a closed pipe would end the service.
    _stdout: Box<dyn Read + Send + Sync>,
}

impl Server {
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &settings())
    }

    /// Returns when the service says that it listens. It lets everybody in, unless the settings say otherwise. What it logs goes to a file in the data folder.
    pub fn start_with(data_dir: &Path, settings: &Settings) -> Self {
        let mut command = ade(data_dir, settings);
        if !settings.contains_key("ADE_AUTH") {
            command.env("ADE_AUTH", "off");
        }
        Self::run(data_dir, command)
    }

    /// As [`Server::start_with`], by this command.
    pub fn run(data_dir: &Path, mut command: Command) -> Self {
        let log = File::options().create(true).append(true).open(log_path(data_dir)).expect("a file for the log");
        let mut child = command.arg("serve").stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let (line, stdout) = first_line(child.stdout.take().expect("stdout is a pipe")).unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the service does not listen within {TIMEOUT:?}");
        });
        let url = line.trim().strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let Some((scheme, address)) = url.and_then(|(scheme, text)| Some((scheme, text.parse().ok()?))) else {
            let _ = child.wait();
            panic!("no service: {line:?}\n{}", std::fs::read_to_string(log_path(data_dir)).unwrap_or_default());
        };
        let (address, encrypted) = match scheme {
            "https" => (local_address(data_dir), Some(address)),
            _ => (address, None),
        };
        Self { child, address, encrypted, data_dir: data_dir.to_owned(), _stdout: Box::new(stdout) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What `kill -9` does: nothing is said, nothing is finished.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    pub fn signal(&self, signal: i32) {
        process::signal(self.child.id(), signal);
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("end of the service", || self.has_ended())
    }

    /// A stop in good order.
    pub fn stop(mut self) {
        self.signal(libc::SIGTERM);
        assert!(self.wait().success());
    }

    pub fn send(&self, request: &Request) -> io::Result<Response> {
        request.send(self.address)
    }

    /// The status of a `GET`.
    pub fn status(&self, path: &str) -> u16 {
        self.send(&Request::get(path)).expect("a response").status()
    }

    pub fn get(&self, path: &str) -> Value {
        self.send(&Request::get(path)).expect("a response").expect(200).json_or_null()
    }

    pub fn try_get(&self, path: &str) -> Option<Value> {
        self.send(&Request::get(path)).ok().filter(|response| response.status() == 200).map(|it| it.json_or_null())
    }

    /// The status and the body.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.send(&Request::post(path).json(body)).expect("a response");
        (response.status(), response.json_or_null())
    }

    pub fn upload(&self, path: &str, fields: &[(&str, &str)], name: &str, content: &[u8]) -> Value {
        let fields = fields.iter().map(|&(name, value)| (name, None, value.as_bytes()));
        let parts: Vec<_> = fields.chain([("file", Some(name), content)]).collect();
        self.send(&Request::post(path).form(&parts)).expect("a response").expect(201).json_or_null()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(log_path(&self.data_dir)).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("the end of the service's log:");
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Where commands on this machine reach it.
fn local_address(data_dir: &Path) -> SocketAddr {
    let lock: Value = serde_json::from_slice(&std::fs::read(data_dir.join(".lock")).unwrap()).unwrap();
    lock["address"].as_str().and_then(|address| address.parse().ok()).expect("an address in the lock")
}

/// The first line of what the service prints, and the rest; none when it says nothing for too long.
fn first_line(stdout: ChildStdout) -> Option<(String, BufReader<ChildStdout>)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut line, mut stdout) = (String::new(), BufReader::new(stdout));
        stdout.read_line(&mut line).expect("the service says something");
        let _ = sender.send((line, stdout));
    });
    receiver.recv_timeout(TIMEOUT).ok()
}

pub fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.join("service.log")
}
