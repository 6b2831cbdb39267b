//! One installer for all tests: fetching it for each of their data folders would take most of the time.

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

fn succeeds(command: &mut Command) -> Option<()> {
    command.stdin(Stdio::null()).status().ok()?.success().then_some(())
}
