//! The real service, as a process of its own, with something to run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::child::{Owned, poll};
use super::http::Client;
use super::report::histogram;
use super::{Bench, Outcome};

/// An engine that says what the run's metadata ask for.
pub const SCRIPTED_ENGINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/engine");

const START: Duration = Duration::from_secs(60);
const BUILD: Duration = Duration::from_secs(600);

pub struct Service {
    pub address: std::net::SocketAddr,
    data: PathBuf,
    /// Where there is sign-in.
    key: Option<String>,
    process: Owned,
}

impl Service {
    /// Starts the program on a data folder, with settings beyond the usual.
    pub fn start(data: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ade"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"ADE_")) {
            command.env_remove(name);
        }
        let usual = [
            ("ADE_BIND", "127.0.0.1:0"),
            ("ADE_AUTH", "off"),
            ("ADE_LOG_LEVEL", "warn"),
            ("ADE_DRAIN_TIMEOUT", "1s"),
            ("ADE_CANCEL_GRACE", "500ms"),
        ];
        command.envs(usual).envs(settings.iter().copied()).env("ADE_DATA_DIR", data).arg("serve");
        let log = std::fs::File::create(data.join("service.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = Owned::spawn(&mut command, Duration::from_secs(10))?;
        let address = address(data, &mut process).inspect_err(|_| tell_log(data))?;
        let signs_in = settings.contains(&SIGN_IN);
        let key = signs_in.then(|| poll("the first key", START, || Ok(first_key(data)))).transpose()?;
        Ok(Self { address, data: data.to_owned(), key, process })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn client(&self) -> Outcome<Client> {
        Ok(Client::connect(self.address)?.with_key(self.key.clone()))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How long answers take, asked for one after the other on one connection, from request to last byte.
    pub fn latency(&self, count: u64, path: &dyn Fn(u64) -> String) -> Outcome<Histogram<u64>> {
        const WARM: u64 = 20;
        let (mut client, mut latency) = (self.client()?, histogram());
        for number in 0..WARM + count {
            let path = path(number);
            let begin = Instant::now();
            client.download(&path)?;
            if number >= WARM {
                latency.saturating_record(begin.elapsed().as_micros() as u64);
            }
        }
        Ok(latency)
    }

    /// With a ticket, where there is sign-in.
    pub fn stream_url(&self, run: &str) -> Outcome<String> {
        let path = format!("/api/v1/runs/{run}/events/stream");
        if self.key.is_none() {
            return Ok(self.url(&path));
        }
        let made = self.client()?.post("/api/v1/stream-tickets", &json!({"stream": run}))?;
        Ok(self.url(made["events_stream"].as_str().unwrap_or(&path)))
    }

    pub fn data(&self) -> &Path {
        &self.data
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell_log(&self.data);
        }
    }
}

/// From the lock of the data folder, which the process fills in when it is bound.
fn address(data: &Path, process: &mut Owned) -> Outcome<std::net::SocketAddr> {
    poll("the service's address", START, || {
        let owner = ade::app::read_owner(data).filter(|owner| owner.pid == process.id());
        match (owner.and_then(|owner| owner.address), process.child().try_wait()?) {
            (None, Some(status)) => Err(format!("the service ended with {status}").into()),
            (address, _) => Ok(address),
        }
    })
}

pub const SIGN_IN: (&str, &str) = ("ADE_AUTH", "on");

fn first_key(data: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data.join("admin.key")).ok()?;
    text.strip_suffix('\n').map(str::to_owned)
}

fn tell_log(data: &Path) {
    let log = std::fs::read_to_string(data.join("service.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines.iter().rev().take(20).rev().for_each(|line| eprintln!("service: {line}"));
}

/// A service with a configuration that is built, and a document to run it on.
pub struct Site {
    pub service: Service,
    settings: Vec<(String, String)>,
    workspace: String,
    configuration: String,
    document: String,
}

impl Site {
    /// With the scripted engine, installed by pip.
    pub fn scripted(bench: &Bench, settings: &[(&str, &str)]) -> Outcome<Self> {
        let mut all = vec![("ADE_ENGINE_SPEC", SCRIPTED_ENGINE), ("ADE_INSTALLER", "pip")];
        all.extend_from_slice(settings);
        all.extend(bench.options.sign_in.then_some(SIGN_IN));
        let site = Self::open(&bench.folder("data")?, &all)?;
        site.build(false)?;
        Ok(site)
    }

    /// With a new process on the same data, so that nothing of what was measured before is left in memory.
    pub fn restart(self) -> Outcome<Self> {
        let Self { service, settings, workspace, configuration, document } = self;
        let data = service.data().to_owned();
        drop(service);
        let borrowed: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let service = Service::start(&data, &borrowed)?;
        Ok(Self { service, settings, workspace, configuration, document })
    }

    /// Nothing is built yet.
    pub fn open(data: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        let service = Service::start(data, settings)?;
        let mut client = service.client()?;
        let workspace = id(&client.post("/api/v1/workspaces", &json!({"name": "bench"}))?)?;
        let configurations = format!("/api/v1/workspaces/{workspace}/configurations");
        let template = json!({"display_name": "bench", "source": {"type": "template", "template_id": "default"}});
        let configuration = id(&client.post(&configurations, &template)?)?;
        let documents = format!("/api/v1/workspaces/{workspace}/documents");
        let document = id(&client.upload(&documents, "people.csv", "first name,last name\nAda,Lovelace\n")?)?;
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { service, settings, workspace, configuration, document })
    }

    /// Asks for a build and waits for its end; the build.
    pub fn build(&self, force: bool) -> Outcome<Value> {
        let mut client = self.service.client()?;
        let builds = format!("/api/v1/workspaces/{}/configurations/{}/builds", self.workspace, self.configuration);
        let mut build = client.post(&builds, &json!({"options": {"force": force, "wait": true}}))?;
        if !is_terminal(&build) {
            let path = format!("/api/v1/builds/{}", id(&build)?);
            build = poll("the end of the build", BUILD, || Ok(Some(client.get(&path)?).filter(is_terminal)))?;
        }
        match build["status"].as_str() {
            Some("active") => Ok(build),
            _ => Err(format!("the build did not succeed: {}", build["error"]).into()),
        }
    }

    /// Starts a run that does what `orders` say; its id.
    pub fn start_run(&self, orders: &[(&str, String)]) -> Outcome<String> {
        let metadata: Map<_, _> = orders.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
        let body = json!({"options": {"document_ids": [self.document], "metadata": metadata}});
        let path = format!("/api/v1/configurations/{}/runs", self.configuration);
        id(&self.service.client()?.post(&path, &body)?)
    }

    /// Waits for the end of a run and for its success; the run.
    pub fn finished_run(&self, run: &str, limit: Duration) -> Outcome<Value> {
        let mut client = self.service.client()?;
        poll("the end of the run", limit, || {
            let found = client.get(&format!("/api/v1/runs/{run}"))?;
            match found["status"].as_str() {
                Some("succeeded") => Ok(Some(found)),
                Some("failed" | "cancelled") => {
                    Err(format!("the run did not succeed: {}", found["failure_message"]).into())
                }
                _ => Ok(None),
            }
        })
    }

    /// The log file of a run.
    pub fn log_file(&self, run: &str) -> PathBuf {
        self.service.data().join(format!("workspaces/{}/runs/{run}/logs/events.ndjson", self.workspace))
    }

    /// What an engine of this site is started with, to start it without the service.
    pub fn python(&self) -> Outcome<PathBuf> {
        let venvs = self.service.data().join("venvs");
        find(&venvs, Path::new(".venv/bin/python"), 4).ok_or_else(|| "there is no venv".into())
    }
}

fn is_terminal(build: &Value) -> bool {
    !matches!(build["status"].as_str(), Some("queued" | "building"))
}

pub fn id(resource: &Value) -> Outcome<String> {
    Ok(resource["id"].as_str().ok_or("the answer has no id")?.to_owned())
}

fn find(folder: &Path, below: &Path, depth: usize) -> Option<PathBuf> {
    let found = folder.join(below);
    if found.exists() {
        return Some(found);
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten().filter(|_| depth > 0);
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).find_map(|path| find(&path, below, depth - 1))
}
