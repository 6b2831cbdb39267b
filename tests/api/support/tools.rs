//! What builds need: an interpreter and an installer, found once, and packages that install without a network.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Files of a package: path and content.
pub type Files = Vec<(String, Vec<u8>)>;

pub fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/packages")
}

/// The program behind `python3`, past any shim.
pub fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let said = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        String::from_utf8(said.expect("there is a python3").stdout).unwrap().trim().to_owned()
    })
}

/// A program in the place of an interpreter: it tells of itself what it should, and otherwise does as the script says.
pub fn interpreter(folder: &Path, script: &str) -> String {
    let path = folder.join("python-of-this-test");
    let (real, shown) = (python(), path.display());
    let text = format!(
        "#!/bin/sh\n\
         case \"$*\" in *ensurepip*)\n\
         exec '{real}' -c 'import json, sys; print(json.dumps(dict(path=sys.argv[1], version=list(sys.version_info[:3]), pip=True)))' '{shown}';;\n\
         esac\n\
         {script}\n\
         exec '{real}' \"$@\"\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A folder that holds `uv` and nothing else. It is installed once for all runs of the tests when there is none.
pub fn uv_folder() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
        let folder = tools.join("bin");
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(tools.join("lock")).unwrap();
        lock.lock().unwrap();
        if !folder.join("uv").exists() {
            let _ = fs::remove_file(folder.join("uv"));
            std::os::unix::fs::symlink(find_uv(&tools), folder.join("uv")).unwrap();
        }
        folder
    })
}

fn find_uv(tools: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).map(|folder| folder.join("uv")).find(|path| path.is_file()) {
        return found;
    }
    let venv = tools.join("venv");
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        assert!(status.is_ok_and(|status| status.success()), "uv is needed, and could not be installed");
    };
    run(Path::new(python()), &["-m", "venv", venv.to_str().unwrap()]);
    run(&venv.join("bin/python"), &["-m", "pip", "install", "--quiet", "uv"]);
    venv.join("bin/uv")
}

/// The files of a package of the tests, with what builds it.
pub fn files_of(package: &str) -> Files {
    let root = packages().join(package);
    let mut files = vec![("backend.py".to_owned(), fs::read(packages().join("backend.py")).unwrap())];
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A package's files with one of them replaced or added.
pub fn with_file(mut files: Files, name: &str, content: impl Into<Vec<u8>>) -> Files {
    files.retain(|(path, _)| path != name);
    files.push((name.to_owned(), content.into()));
    files.sort();
    files
}

pub fn write_files(folder: &Path, files: &Files) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub fn zip_of(files: &Files) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
