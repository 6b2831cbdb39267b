//! An interpreter and an installer for builds, found once for all test programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program behind `python3`, past any shim.
pub fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let printed = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        String::from_utf8(printed.expect("there is a python3").stdout).unwrap().trim().to_owned()
    })
}

/// A directory that is kept between test runs and shared by all test programs: `<target>/tmp/tools`.
pub fn shared_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    // <target>/<profile>/deps/<program>
    let directory = program.ancestors().nth(3).unwrap().join("tmp/tools");
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Keeps other test programs out until it is dropped.
pub fn lock(name: &str) -> File {
    let lock = File::create(shared_directory().join(name)).unwrap();
    lock.lock().unwrap();
    lock
}

/// A directory that holds `uv` and nothing else, so that it can be put on a `PATH`. When the machine has no `uv`, it is
/// installed once for all test runs; none when that fails.
pub fn uv_directory() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let tools = shared_directory();
        let directory = tools.join("bin");
        fs::create_dir_all(&directory).unwrap();
        let _lock = lock("lock");
        let uv = directory.join("uv");
        if !uv.exists() {
            let _ = fs::remove_file(&uv);
            std::os::unix::fs::symlink(find_uv(&tools)?, uv).unwrap();
        }
        Some(directory)
    });
    found.as_deref()
}

fn find_uv(tools: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).map(|directory| directory.join("uv")).find(|path| path.is_file())
    {
        return Some(found);
    }
    let venv = tools.join("venv");
    succeeds(Command::new(python()).args(["-m", "venv"]).arg(&venv))?;
    succeeds(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", "uv"]))?;
    Some(venv.join("bin/uv"))
}

/// A program that a Python package brings, installed once for all test runs; none when that fails.
pub fn program_of_package(package: &str, name: &str) -> Option<PathBuf> {
    let venv = shared_directory().join(package);
    let _lock = lock("package.lock");
    let program = venv.join("bin").join(name);
    if !program.exists() {
        succeeds(Command::new(python()).args(["-m", "venv"]).arg(&venv))?;
        succeeds(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", package]))?;
    }
    program.exists().then_some(program)
}

fn succeeds(command: &mut Command) -> Option<()> {
    command.stdin(Stdio::null()).status().ok()?.success().then_some(())
}
