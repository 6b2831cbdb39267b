//! What the children of a service may reach, by what they do.
//!
//! Invariant: what the service keeps is below nothing that is allowed, but for the directories of the child's own work.
//! Those are named by ids, and below directories that no child can write.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::users::for_trying;
use super::venv::installer::Installer;
use super::venv::python::Interpreter;
use crate::config::{Isolation, Settings, UserIds};
use crate::files::Location;
use crate::isolation::{Policy, Strictness, can_give, spared, system};

/// Of a data directory, where children put what they need for a moment.
pub const TEMPORARY: &str = "tmp";

/// Variables that may name files for whoever goes to the network.
const CERTIFICATES: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

#[derive(Debug)]
pub struct Reach {
    level: Strictness,
    /// Where the settings ask for it and this process can do it.
    users: Option<UserIds>,
    engine_network: bool,
    data: Root,
    /// In the data directory, unless the operator has put it elsewhere by a link.
    cache: Root,
    venvs: Root,
    /// Of the system and the operator.
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    secrets: Vec<PathBuf>,
}

/// The directory of a build, and what a step of it is given.
#[derive(Debug, Clone, Copy)]
pub struct BuildPlace<'a> {
    pub directory: &'a Path,
    pub temporary: &'a Path,
    pub python: &'a Interpreter,
    pub installer: &'a Installer,
    pub environment: &'a Environment,
    /// Whose the steps are that run what was uploaded.
    pub user: Option<u32>,
}

impl Reach {
    /// Looks at the directories of the settings, which are there. Blocks.
    pub fn new(settings: &Settings) -> Self {
        let (data, venvs) = (Root::new(&settings.storage.data_dir), Root::new(&settings.build.venvs_dir));
        let cache = data.inside("cache");
        let mut secrets = vec![data.real.clone(), venvs.real.clone()];
        secrets.extend(settings.file.iter().chain(&settings.storage.database_file()).map(|path| real(path)));
        let isolation = &settings.isolation;
        let level = match isolation.level {
            Isolation::Off => Strictness::Off,
            Isolation::On => Strictness::BestEffort,
            Isolation::Required => Strictness::Required,
        };
        let users = isolation.uids.filter(|ids| can_give(ids.first..=ids.last).is_ok());
        let named = system::READ.iter().map(PathBuf::from).chain(isolation.read.iter().cloned());
        let read = named.flat_map(|path| without(path, &secrets)).collect();
        let write = isolation.write.iter().flat_map(|path| without(real(path), &secrets)).collect();
        let engine_network = isolation.engine_network;
        Self { level, users, engine_network, data, cache, venvs, read, write, secrets }
    }

    pub fn level(&self) -> Strictness {
        self.level
    }

    /// Whether children have directories of their own, whatever keeps them there.
    pub fn is_on(&self) -> bool {
        self.level != Strictness::Off || self.users.is_some()
    }

    pub fn users(&self) -> Option<UserIds> {
        self.users
    }

    pub fn engine_network(&self) -> bool {
        self.engine_network
    }

    /// Where a piece of work puts what it needs for a moment; `None` where it is not isolated. Its path is short, since the
    /// names of sockets have to be.
    pub fn temporary(&self, id: &str) -> Option<Location> {
        self.is_on().then(|| Location::below(&self.data.named, Path::new(TEMPORARY).join(id)))
    }

    /// An engine: the venv of its build, and its run's directory, of which it writes its output, its events and
    /// nothing else.
    pub fn engine(
        &self,
        python: &Interpreter,
        build: &Path,
        run: &Path,
        written: &[&Path],
        env: &Environment,
        user: Option<u32>,
    ) -> Policy {
        if !self.is_on() {
            return Policy::default();
        }
        let mut read = self.of_interpreter(python);
        read.extend(self.named_by(env, |name| CERTIFICATES.contains(&name)));
        let read_own = [build, run].map(|path| self.own(path)).into();
        Policy { user, ..self.policy(read, read_own, written, self.engine_network) }
    }

    /// What the operator has named is installed: nothing that was uploaded has run in this venv yet, so these steps share
    /// what the service keeps for all builds. `engine` is where it is installed from.
    pub fn of_service(&self, place: BuildPlace<'_>, engine: &[PathBuf]) -> Policy {
        let mut policy = self.build(place, &self.cache.named, true);
        if self.is_on() {
            let allowed = engine.iter().flat_map(|path| without(real(path), &self.secrets));
            let (directories, files): (Vec<_>, Vec<_>) = allowed.partition(|path| path.is_dir());
            // Build backends write into what they build.
            policy.write.extend(directories);
            policy.read.extend(files);
        }
        policy
    }

    /// What was uploaded is installed or imported: it may do to its workspace's cache and its own venv what it likes, and
    /// to nobody else's.
    pub fn of_package(&self, place: BuildPlace<'_>, cache: &Path, installs: bool) -> Policy {
        Policy { user: place.user, ..self.build(place, cache, installs || self.engine_network) }
    }

    /// For finding out what holds, whatever the settings ask for: what an engine may reach, without anything of its own.
    pub fn attempt(&self, program: &Path) -> Policy {
        let read = [self.read.as_slice(), &[program.to_owned()]].concat();
        let (network, user) = (self.engine_network, self.users.map(for_trying));
        Policy { level: Strictness::BestEffort, read, network, user, ..Policy::default() }
    }

    fn build(&self, place: BuildPlace<'_>, cache: &Path, network: bool) -> Policy {
        if !self.is_on() {
            return Policy::default();
        }
        let names_files = |name: &str| {
            CERTIFICATES.contains(&name)
                || name.starts_with("PIP_")
                || name.starts_with("UV_") && name != "UV_CACHE_DIR"
        };
        let mut read = self.of_interpreter(place.python);
        read.extend(self.named_by(place.environment, names_files));
        let mut read_own = Vec::new();
        // The service may have installed uv for itself, and writes settings for it.
        let settings = place.environment.get(OsStr::new("UV_CONFIG_FILE")).map(PathBuf::from);
        let program = if let Installer::Uv(uv) = place.installer { Some(uv.clone()) } else { None };
        for path in program.into_iter().chain(settings) {
            if path.starts_with(&self.data.named) { read_own.push(self.own(&path)) } else { read.push(path) }
        }
        self.policy(read, read_own, &[place.directory, place.temporary, cache], network)
    }

    fn policy(&self, read: Vec<PathBuf>, read_own: Vec<PathBuf>, written: &[&Path], network: bool) -> Policy {
        let own = written.iter().map(|path| self.own(path));
        Policy {
            level: self.level,
            read: [self.read.as_slice(), &read].concat(),
            read_own,
            write: self.write.iter().cloned().chain(own).collect(),
            network,
            user: None,
        }
    }

    /// Below the data directory or that of venvs, without the links by which these may have been reached.
    fn own(&self, path: &Path) -> PathBuf {
        let roots = [&self.venvs, &self.cache, &self.data];
        roots.into_iter().find_map(|root| root.below(path)).unwrap_or_else(|| path.to_owned())
    }

    fn of_interpreter(&self, python: &Interpreter) -> Vec<PathBuf> {
        let named = python.homes.iter().chain([&python.path]).cloned();
        named.flat_map(|path| without(path, &self.secrets)).collect()
    }

    /// The files that variables of these names speak of.
    fn named_by(&self, environment: &Environment, names: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let is_named = |name: &OsString| name.to_str().is_some_and(&names);
        let values = environment.iter().filter(|(name, _)| is_named(name)).filter_map(|(_, value)| value.to_str());
        values.flat_map(paths_in).flat_map(|path| without(path, &self.secrets)).collect()
    }
}

/// A directory of the operator's.
#[derive(Debug)]
struct Root {
    /// As the settings name it.
    named: PathBuf,
    /// Without links.
    real: PathBuf,
}

impl Root {
    fn new(path: &Path) -> Self {
        Self { named: path.to_owned(), real: real(path) }
    }

    fn inside(&self, name: &str) -> Self {
        let named = self.named.join(name);
        Self { real: named.canonicalize().unwrap_or_else(|_| self.real.join(name)), named }
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.named).ok().map(|rest| self.real.join(rest))
    }
}

/// Without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What may be allowed of a path that somebody has named: mostly all of it, and then as it was named, since links of the
/// system may be put elsewhere while the service runs.
fn without(path: PathBuf, secrets: &[PathBuf]) -> Vec<PathBuf> {
    let real = real(&path);
    let entries = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        // A link may lead back to what is spared.
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
            .map(|entry| entry.path())
            .collect()
    };
    match spared(&real, secrets, &entries) {
        whole if whole == [real] => vec![path],
        parts => parts,
    }
}

/// Absolute paths and addresses of files in the value of an installer's variable or in an installer's requirement.
pub fn paths_in(text: &str) -> Vec<PathBuf> {
    let words = text.split([' ', ',', ';', '\n', '\t']);
    let path = |word: &str| {
        let path = word.split_once("file://").map_or(word, |(_, path)| path.split(['#', '?']).next().unwrap_or(path));
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    words.filter_map(path).filter(|path| path.parent().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn reach(folder: &Path, more: &[(&str, String)]) -> Reach {
        let mut environment: std::collections::BTreeMap<String, String> =
            [("ADE_DATA_DIR".into(), folder.join("data").display().to_string())].into();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Reach::new(&Settings::load(&Sources { environment, ..Sources::default() }).unwrap())
    }

    fn python(folder: &Path) -> Interpreter {
        Interpreter {
            path: folder.join("python/bin/python3"),
            version: "3.11.7".into(),
            pip: true,
            homes: vec![folder.join("python")],
        }
    }

    #[test]
    fn an_engine_writes_what_is_its_own_and_reads_its_venv_and_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for directory in ["data/venvs", "python", "shared"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("ca.pem"), "").unwrap();
        let written = root.join("shared").display().to_string();
        let reach = reach(&root, &[("ADE_ISOLATION_WRITE", written), ("ADE_ENGINE_NETWORK", "off".into())]);
        let env = Environment::from([("SSL_CERT_FILE".into(), root.join("ca.pem").into())]);
        let (build, run) = (root.join("data/venvs/w/c/b"), root.join("data/workspaces/w/runs/r"));
        let policy = reach.engine(&python(&root), &build, &run, &[&run.join("output")], &env, None);
        assert_eq!((policy.level, policy.network), (Strictness::BestEffort, false));
        assert_eq!(policy.read_own, [build, run.clone()]);
        assert_eq!(policy.write, [root.join("shared"), run.join("output")]);
        for path in [Path::new("/usr"), &root.join("python"), &root.join("ca.pem")] {
            assert!(policy.read.iter().any(|read| read == path), "{path:?}: {:?}", policy.read);
        }
        let seen = |path: &Path| policy.read.iter().any(|read| path.starts_with(read));
        assert!(
            !seen(&root.join("data/ade.db")) && !seen(Path::new("/etc/shadow")) && !seen(Path::new("/proc/1/environ"))
        );
    }

    #[test]
    fn what_the_service_keeps_is_spared_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for directory in ["data/venvs", "python", "models"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        let named = [&root, &root.join("link")].map(|path| path.display().to_string()).join(",");
        let reach = reach(&root, &[("ADE_ISOLATION_READ", named)]);
        let allowed: Vec<_> = reach.read.iter().filter(|path| path.starts_with(&root)).collect();
        assert_eq!(allowed, [&root.join("models"), &root.join("python")]);
        let around = Interpreter { homes: vec![root.clone(), "/".into()], ..python(&root) };
        let found = reach.of_interpreter(&around);
        assert!(found.contains(&root.join("models")) && !found.iter().any(|path| root.join("data").starts_with(path)));
    }

    #[test]
    fn without_isolation_nothing_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let reach = reach(folder.path(), &[("ADE_ISOLATION", "off".into())]);
        assert!(reach.temporary("run_1").is_none());
        let python = python(folder.path());
        assert_eq!(
            reach.engine(&python, folder.path(), folder.path(), &[], &Environment::new(), None),
            Policy::default()
        );
    }

    #[test]
    fn paths_are_found_in_what_installers_are_told() {
        for (text, paths) in [
            ("https://one/simple /srv/wheels", &["/srv/wheels"][..]),
            ("file:///srv/index/simple", &["/srv/index/simple"]),
            ("ade-engine @ file:///opt/x.whl#sha256=1 ; python_version > '3'", &["/opt/x.whl"]),
            ("git+file:///srv/engine.git", &["/srv/engine.git"]),
            ("own=file:///a,other=https://b/c", &["/a"]),
            ("ade-engine==1.2", &[]),
            ("/", &[]),
        ] {
            assert_eq!(paths_in(text), paths.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
        }
    }
}
