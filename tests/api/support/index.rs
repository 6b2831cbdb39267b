//! A package index of a test's own, as installers know it: a page of links per project, and the files.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use ade_test_support::server::{receive, serve};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::tools::{self, Files, write_files};

/// Serves until the test program ends.
pub struct Index {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// The files that were asked for, once for each time.
    served: Mutex<Vec<String>>,
}

impl Index {
    /// With these files, named as wheels and source archives are.
    pub fn serving(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let state = Arc::new(State { files: files.into_iter().collect(), served: Mutex::default() });
        let serving = state.clone();
        let address = serve(move |socket| serving.serve(socket));
        Self { address, state }
    }

    /// Settings of a service that knows this index and no other.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        let url = format!("http://{}/simple/", self.address);
        let nothing = String::new;
        [
            ("UV_DEFAULT_INDEX", url.clone()),
            ("PIP_INDEX_URL", url),
            ("PIP_FIND_LINKS", nothing()),
            ("UV_FIND_LINKS", nothing()),
        ]
    }

    /// How often files of a project were fetched.
    pub fn times_served(&self, project: &str) -> usize {
        self.state.served.lock().unwrap().iter().filter(|file| project_of(file) == project).count()
    }
}

impl State {
    fn serve(&self, socket: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(request) = receive(&mut reader)? {
            self.answer(&socket, &request.method, &request.target)?;
        }
        Ok(())
    }

    fn answer(&self, mut socket: &TcpStream, method: &str, target: &str) -> io::Result<()> {
        let name = target.trim_matches('/').rsplit('/').next().unwrap_or_default();
        let links: String = self
            .files
            .keys()
            .filter(|file| project_of(file) == name)
            .map(|file| format!("<a href=\"/files/{file}\">{file}</a>\n"))
            .collect();
        let (status, kind, body) = match self.files.get(name) {
            Some(file) => ("200 OK", "application/octet-stream", file.as_slice()),
            None if !links.is_empty() => ("200 OK", "text/html", links.as_bytes()),
            None => ("404 Not Found", "text/plain", &b""[..]),
        };
        if method == "GET" && self.files.contains_key(name) {
            self.served.lock().unwrap().push(name.to_owned());
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\r\n"
        );
        socket.write_all(head.as_bytes())?;
        if method == "GET" { socket.write_all(body) } else { Ok(()) }
    }
}

/// `ade_engine-1.0-py3-none-any.whl` is a file of `ade-engine`.
fn project_of(file: &str) -> String {
    file.split('-').next().unwrap_or_default().replace('_', "-")
}

/// The wheel of a package, made by its own backend: its name and its content.
pub fn wheel_of(files: &Files) -> (String, Vec<u8>) {
    archive_of(files, "import backend, sys; print(backend.build_wheel(sys.argv[1]))")
}

/// The source archive of a package.
pub fn source_archive_of(files: &Files) -> (String, Vec<u8>) {
    archive_of(
        files,
        "import sys, tarfile, tomllib\n\
         project = tomllib.load(open('pyproject.toml', 'rb'))['project']\n\
         stem = project['name'].replace('-', '_') + '-' + project['version']\n\
         with tarfile.open(f'{sys.argv[1]}/{stem}.tar.gz', 'w:gz') as archive: archive.add('.', stem)\n\
         print(f'{stem}.tar.gz')",
    )
}

fn archive_of(files: &Files, script: &str) -> (String, Vec<u8>) {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(source.path(), files);
    let said =
        Command::new(tools::python()).arg("-c").arg(script).arg(target.path()).current_dir(source.path()).output();
    let said = said.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let name = String::from_utf8(said.stdout).unwrap().trim().to_owned();
    let content = std::fs::read(target.path().join(&name)).unwrap();
    (name, content)
}

/// A wheel with a program `uv` that starts the one that these tests use anyway: unpacking forty megabytes once more
/// says nothing, and took minutes on a busy machine.
pub fn uv_wheel() -> (String, Vec<u8>) {
    let program = format!("#!/bin/sh\nexec '{}' \"$@\"\n", tools::uv_directory().join("uv").display());
    let info = "uv-0.0.1.dist-info";
    let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    let mut put = |name: String, content: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    };
    put("uv-0.0.1.data/scripts/uv".into(), program.as_bytes());
    put(format!("{info}/METADATA"), b"Metadata-Version: 2.1\nName: uv\nVersion: 0.0.1\n");
    put(format!("{info}/WHEEL"), b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
    put(
        format!("{info}/RECORD"),
        format!("uv-0.0.1.data/scripts/uv,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n").as_bytes(),
    );
    ("uv-0.0.1-py3-none-any.whl".into(), zip.finish().unwrap().into_inner())
}

/// The wheel of pip that comes with the interpreter.
pub fn pip_wheel() -> (String, Vec<u8>) {
    let script = "import ensurepip, pathlib, sysconfig\n\
                  folders = [pathlib.Path(ensurepip.__file__).parent / '_bundled', sysconfig.get_config_var('WHEEL_PKG_DIR')]\n\
                  print(next(str(path) for folder in folders if folder for path in pathlib.Path(folder).glob('pip-*.whl')))";
    let said = Command::new(tools::python()).args(["-c", script]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let path = PathBuf::from(String::from_utf8(said.stdout).unwrap().trim());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap().to_owned();
    (name, std::fs::read(Path::new(&path)).unwrap())
}
