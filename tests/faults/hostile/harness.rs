//! Runs behaviours one after the other on one service, so that what one damages shows with the next, and checks after
//! each what must hold. A fault is noted by the behaviour's name, and the others go on, with a new service if need be.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::behaviour::{Act, Behaviour, LogState, Stage};
use super::check::{self, Faults, attempt};
use super::configuration;
use super::survivors::Trace;
use super::told::Told;
use super::victims::Victims;
use super::watcher::{Watcher, peak, reset_peak};
use crate::support::server::{Server, Settings, ade, log_path, without_isolation};
use crate::support::work::{Place, Run, id};
use crate::support::{process, tools, within};

/// What hangs takes longer than this, and nothing else does.
pub const BOUND: Duration = Duration::from_secs(60);
/// Of the service, at its peak.
const MEMORY_MIB: u64 = 256;
/// An answer takes a few milliseconds; this is for machines that do much else.
const READY_WITHIN: Duration = Duration::from_secs(10);

pub struct Harness {
    folder: PathBuf,
    settings: Settings,
    /// Those of the first start, and of the last.
    usual: Settings,
    service: Option<Service>,
    victims: Victims,
    kept: Vec<Kept>,
    faults: Vec<String>,
    /// Whether a log was destroyed, which `verify` will not like.
    destroyed: bool,
    lives: usize,
    read_meanwhile: &'static [&'static str],
}

struct Service {
    server: Server,
    watcher: Watcher,
    place: Place,
}

/// A run and what its log said.
struct Kept {
    name: String,
    run: Run,
    told: Told,
}

/// `ADE_HOSTILE_FULL=1`: everything, and as often as anybody would do it.
pub fn is_full() -> bool {
    std::env::var_os("ADE_HOSTILE_FULL").is_some()
}

/// How often what is done many times.
pub fn times(usual: usize, full: usize) -> usize {
    if is_full() { full } else { usual }
}

/// Of many variants of one thing every so-manieth, beginning at a place; in full all of them.
pub fn some<T>(variants: impl IntoIterator<Item = T>, first: usize, each: usize) -> Vec<T> {
    variants.into_iter().skip(times(first, 0)).step_by(times(each, 1)).collect()
}

impl Harness {
    /// A service with a venv ready, and one run that has nothing to do with anything.
    pub fn open(more: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let mut settings = without_isolation();
        settings.insert("ADE_ENGINE_SPEC", tools::package("hostile_engine").display().to_string());
        settings.insert("ADE_RUN_TIMEOUT", "20s".into());
        settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
        fs::create_dir_all(folder.join("traces")).expect("a folder");
        let victims = Victims::make(&folder.join("victims"));
        let mut harness = Self {
            folder,
            usual: settings.clone(),
            settings,
            service: None,
            victims,
            kept: Vec::new(),
            faults: Vec::new(),
            destroyed: false,
            lives: 0,
            read_meanwhile: &[],
        };
        harness.begin();
        harness
    }

    /// What follows is done under another setting, which may be too tight for anything else.
    pub fn under(&mut self, name: &'static str, value: &str) {
        self.settings.insert(name, value.to_owned());
        self.restart();
    }

    pub fn hear_all(mut self, behaviours: impl IntoIterator<Item = Behaviour>) {
        for behaviour in behaviours {
            self.hear(&behaviour);
        }
        self.close();
    }

    /// As [`Self::hear`]; while the engine is at work its outputs of these paths are read, over and over.
    pub fn hear_while(&mut self, behaviour: &Behaviour, outputs: &'static [&'static str]) {
        self.read_meanwhile = outputs;
        self.hear(behaviour);
        self.read_meanwhile = &[];
    }

    pub fn hear(&mut self, behaviour: &Behaviour) {
        let only = std::env::var("ADE_HOSTILE_ONLY").unwrap_or_default();
        if !behaviour.name.contains(&only) {
            return;
        }
        let trace = Trace::new(&self.folder.join("traces"), &format!("{}-{}", self.lives, self.kept.len()));
        let mut faults = Faults::default();
        let observed = attempt(|| self.observe(behaviour, &trace, &mut faults));
        faults.add(observed.err());
        trace.clean();
        let is_stuck = !faults.0.is_empty();
        self.note(&behaviour.name, faults);
        self.mend(is_stuck);
    }

    /// The service dies once more, starts again, and has everything that it had; then nobody has a fault.
    pub fn close(self) {
        self.close_before(|| ());
    }

    /// As [`Self::close`]; then, whatever has come of it, this is done before the folder is removed.
    pub fn close_before(mut self, finally: impl FnOnce()) {
        let mut faults = Faults::default();
        let settled = attempt(|| self.settle(&mut faults));
        faults.add(settled.err());
        finally();
        self.note("afterwards", faults);
        assert!(self.faults.is_empty(), "{} faults:\n{}", self.faults.len(), self.faults.join("\n"));
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(format!("data-{}", self.lives))
    }

    pub fn server(&self) -> &Server {
        &self.service.as_ref().expect("a service is running").server
    }

    pub fn place(&self) -> &Place {
        &self.service.as_ref().expect("a service is running").place
    }

    fn observe(&mut self, behaviour: &Behaviour, trace: &Trace, faults: &mut Faults) {
        let begun = Instant::now();
        let logged = fs::metadata(log_path(&self.data_dir())).map_or(0, |log| log.len());
        reset_peak(self.server().pid());
        self.watch().take();
        self.destroyed |= behaviour.log == LogState::Destroyed;
        let script = format!("trace {}\n{}", trace.path.display(), self.victims.aimed_at(&behaviour.script));
        let run = self.create(behaviour, &script);
        self.act(behaviour, &run, trace);
        if !self.read_meanwhile.is_empty() {
            run.await_line(self.server(), "ready");
            check::reads(self.server(), &run, self.read_meanwhile, faults);
        }
        let Some(row) = ended(self.server(), &run) else {
            self.faults_of_the_service(logged, faults);
            return faults.add(Some(format!("no terminal event within {BOUND:?}: {}", trace.described())));
        };
        let took = begun.elapsed();
        faults.add(trace.survivors().map(|who| format!("survivors:\n{who}")));
        check::ending(behaviour, &row, faults);
        self.check_log(behaviour, &run, &row, faults);
        check::answers(self.server(), behaviour, &run, faults);
        self.faults_of_the_service(logged, faults);
        let (peak, health) = (peak(self.server().pid()), self.watch().take());
        let (status, code) = (&row["status"], check::code(&row).unwrap_or_default());
        eprintln!("{}: {status} {code} in {took:.1?}; {peak} MiB, ready within {:.0?}", behaviour.name, health.worst);
    }

    fn create(&self, behaviour: &Behaviour, script: &str) -> Run {
        if behaviour.stage == Stage::Run {
            return self.place().run_with(self.server(), script, behaviour.options.clone());
        }
        let folder = tempfile::tempdir().expect("a folder");
        configuration::write(folder.path(), behaviour.stage, script);
        let place = self.place().importing(self.server(), folder.path());
        if behaviour.options != json!({}) {
            return place.run_with(self.server(), "", behaviour.options.clone());
        }
        let (status, build) = self.server().post(&place.builds_path(), &json!({}));
        assert_eq!(status, 201, "{build}");
        Run { id: id(&build) }
    }

    /// Waits until the behaviour is under way. What a build backend prints may come at its end.
    fn await_ready(&self, behaviour: &Behaviour, run: &Run, trace: &Trace) {
        if behaviour.stage == Stage::Run {
            return run.await_line(self.server(), "ready");
        }
        within(BOUND, "the build is under way", || trace.survivors().map(drop));
        std::thread::sleep(Duration::from_millis(300));
    }

    fn act(&mut self, behaviour: &Behaviour, run: &Run, trace: &Trace) {
        match behaviour.act {
            Act::Nothing => {}
            Act::Cancel => {
                self.await_ready(behaviour, run, trace);
                assert_eq!(run.cancel(self.server()), 202, "a cancel is accepted");
            }
            Act::Kill => {
                self.await_ready(behaviour, run, trace);
                self.restart();
            }
            Act::Restart => {
                let service = self.service.as_mut().expect("a service is running");
                within(BOUND, "the service is killed", || service.server.has_ended());
                self.restart();
            }
            Act::Continue => {
                within(BOUND, "the service is stopped", || is_stopped(self.server().pid()).then_some(()));
                self.server().signal(libc::SIGCONT);
            }
        }
    }

    fn check_log(&mut self, behaviour: &Behaviour, run: &Run, row: &Value, faults: &mut Faults) {
        if behaviour.log == LogState::Destroyed {
            return;
        }
        let data_dir = self.data_dir();
        let read = attempt(|| {
            let (told, end) = Told::of_ended(&data_dir, row);
            assert_eq!(end["payload"]["status"], row["status"], "row and log tell the same end");
            assert_eq!(row["last_sequence"], told.count, "the row is the fold of its log");
            told
        });
        match read {
            Ok(told) => self.kept.push(Kept { name: behaviour.name.clone(), run: run.clone(), told }),
            Err(fault) => faults.add(Some(fault)),
        }
    }

    /// What must hold for the process, whatever has become of the run.
    fn faults_of_the_service(&mut self, logged: u64, faults: &mut Faults) {
        let service = self.service.as_mut().expect("a service is running");
        let pid = service.server.pid();
        faults.add(service.server.has_ended().map(|status| format!("the service has died: {status}")));
        let (peak, health) = (peak(pid), self.watch().peek());
        faults.check(peak <= MEMORY_MIB, || format!("the service takes {peak} MiB"));
        faults.check(health.0 <= READY_WITHIN, || format!("/health/ready takes {:?}", health.0));
        faults.add(health.1.first().map(|refusal| format!("/health/ready: {refusal}")));
        let changed = self.victims.changed();
        faults.check(changed.is_empty(), || format!("files of others have changed: {changed:?}"));
        let log = fs::read(log_path(&self.data_dir())).unwrap_or_default();
        let said = String::from_utf8_lossy(log.get(logged as usize..).unwrap_or_default()).into_owned();
        let panicked = said.lines().find(|line| line.contains("panicked") || line.contains("overflow"));
        faults.add(panicked.map(|line| format!("the service panics: {line}")));
    }

    fn note(&mut self, name: &str, faults: Faults) {
        for fault in faults.0 {
            eprintln!("FAULT {name}: {fault}");
            self.faults.push(format!("{name}: {fault}"));
        }
    }

    /// After a fault the service may be dead or stuck: the next behaviour finds one that works, on the same folder if that
    /// can be.
    fn mend(&mut self, is_stuck: bool) {
        if !is_stuck && attempt(|| self.works()).is_ok() {
            return;
        }
        let again = attempt(|| {
            self.settings = self.usual.clone();
            self.restart();
            self.works();
        });
        if let Err(fault) = again {
            self.note("the start after that", Faults(vec![fault]));
            self.begin();
        }
    }

    /// A new service on a new folder.
    fn begin(&mut self) {
        self.service = None;
        self.kept.clear();
        self.lives += 1;
        fs::create_dir_all(self.data_dir()).expect("a folder");
        let server = Server::start_with(&self.data_dir(), &self.settings);
        let place = Place::make(&server);
        let bystander =
            place.run(&server, "line stdout bystander\nput directory {output}/plain\nwrite {output}/plain/file text");
        let row = bystander.ended(&server);
        assert_eq!(row["status"], "succeeded", "{row}");
        let logs = crate::support::log::path(&self.data_dir(), &row);
        self.victims.protect_only(logs.ancestors().nth(2).expect("it is in the run's folder").to_owned());
        let (told, _) = Told::of_ended(&self.data_dir(), &row);
        self.kept.push(Kept { name: "bystander".into(), run: bystander, told });
        let watcher = Watcher::start(&server);
        self.service = Some(Service { server, watcher, place });
    }

    /// A run of no evil succeeds.
    fn works(&self) {
        let row = self.place().run(self.server(), "say well").ended(self.server());
        assert_eq!(row["status"], "succeeded", "{row}");
    }

    /// As after `kill -9`.
    fn restart(&mut self) {
        let Service { server, watcher, place } = self.service.take().expect("a service is running");
        drop(watcher);
        server.kill();
        let started = attempt(|| Server::start_with(&self.data_dir(), &self.settings));
        let server = started.unwrap_or_else(|fault| panic!("the service does not start again: {fault}"));
        let watcher = Watcher::start(&server);
        self.service = Some(Service { server, watcher, place });
    }

    fn watch(&self) -> &Watcher {
        &self.service.as_ref().expect("a service is running").watcher
    }

    fn settle(&mut self, faults: &mut Faults) {
        self.settings = self.usual.clone();
        self.restart();
        for kept in &self.kept {
            let served = attempt(|| check::is_served(self.server(), &kept.run, &kept.told));
            faults.add(served.err().map(|fault| format!("after a restart, {}: {fault}", kept.name)));
        }
        self.works();
        let (status, report) = self.server().post("/api/v1/system/maintenance", &json!({}));
        faults.check(status == 200, || format!("maintenance: {status} {report}"));
        let changed = self.victims.changed();
        faults.check(changed.is_empty(), || format!("files of others have changed: {changed:?}"));
        let service = self.service.take().expect("a service is running");
        drop(service.watcher);
        service.server.stop();
        let verified = ade(&self.data_dir(), &self.settings).arg("verify").output().expect("the program starts");
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        faults.check(verified.status.code().is_some(), || format!("verify dies: {}", verified.status));
        faults.check(self.destroyed || said.contains(" 0 violations"), || format!("verify: {said}"));
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.service = None;
        // Deeper than what recursion can remove.
        let _ = std::process::Command::new("rm").arg("-rf").arg(&self.folder).status();
    }
}

/// The resource when it has ended; none when it does not.
fn ended(server: &Server, run: &Run) -> Option<Value> {
    let limit = Instant::now() + BOUND;
    while Instant::now() < limit && process::is_alive(server.pid() as i32) {
        let row = server.try_get(&run.path()).unwrap_or_default();
        if matches!(row["status"].as_str(), Some("succeeded" | "active" | "failed" | "cancelled")) {
            return Some(row);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}
