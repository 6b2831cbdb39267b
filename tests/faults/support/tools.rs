//! What builds need. One installer for all tests: fetching it for each of their data folders would take most of the
//! time. And the packages that they install, each with what makes a wheel of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A `PATH` on which `uv` is found, if it could be fetched; the service finds or does without it by itself.
pub fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let own = std::env::var("PATH").unwrap_or_default();
        match uv() {
            Some(folder) => format!("{}:{own}", folder.display()),
            None => {
                eprintln!("uv could not be fetched: builds are made with pip and take longer");
                own
            }
        }
    })
}

fn uv() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    fs::create_dir_all(&tools).ok()?;
    let lock = File::create(tools.join("lock")).ok()?;
    lock.lock().ok()?;
    let venv = tools.join("uv");
    let bin = venv.join("only");
    if !bin.join("uv").exists() {
        let _ = fs::remove_dir_all(&venv);
        succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        succeeds(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "-q", "uv"]))?;
        // Alone in its folder, so that the venv's python does not come before the system's.
        fs::create_dir_all(&bin).ok()?;
        fs::copy(venv.join("bin/uv"), bin.join("uv")).ok()?;
    }
    Some(bin)
}

/// The folder of a package, `engine` or `configuration`, with its build backend in it.
pub fn package(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/support/packages");
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    let package = tools.join("packages").join(name);
    fs::create_dir_all(&tools).expect("a folder for tools");
    let lock = File::create(tools.join("packages.lock")).expect("a lock");
    lock.lock().expect("the lock of the packages");
    let mut wanted = files(&sources.join(name));
    wanted.insert("backend.py".into(), fs::read(sources.join("backend.py")).expect("there is a backend"));
    // Other tests may be reading it: it is not touched unless it is another.
    if files(&package) != wanted {
        let _ = fs::remove_dir_all(&package);
        for (path, content) in wanted {
            let path = package.join(path);
            fs::create_dir_all(path.parent().expect("it is below the package")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
    }
    package
}

/// Contents by relative path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it is below").to_owned();
                found.insert(name, fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
}

fn succeeds(command: &mut Command) -> Option<()> {
    command.stdin(Stdio::null()).status().ok()?.success().then_some(())
}
