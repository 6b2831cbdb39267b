//! Several nodes with one database, one cluster of servers for their journals and, where a test wants one, one object store.

use std::net::{SocketAddr, TcpListener};

use ade_test_support::database::TestDatabase;
use ade_test_support::nats::{self, Nats};
use ade_test_support::wait_until;

use super::http::{Request, Response};
use super::server::{Server, Settings, settings};

const SECRET: &str = "a-secret-of-two-nodes";

/// What all nodes share.
pub struct World {
    pub nats: Nats,
    pub database: TestDatabase,
    settings: Settings,
    store: Option<tempfile::TempDir>,
}

/// A node that may be started again; its address stays.
pub struct Node {
    pub name: &'static str,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl World {
    /// None where there is nothing to test with.
    pub fn new() -> Option<Self> {
        let database = TestDatabase::on_server()?;
        nats::is_there().then(|| Self { nats: Nats::start(), database, settings: settings(), store: None })
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.into());
        self
    }

    /// Files are where every node has them.
    pub fn with_store(mut self) -> Self {
        let store = tempfile::tempdir().unwrap();
        self.settings.insert("ADE_FILES", "store".into());
        self.settings.insert("ADE_OBJECT_STORE", format!("file://{}", store.path().display()));
        self.store = Some(store);
        self
    }

    pub fn start(&self, node: &Node) -> Server {
        self.start_behind(node, node.port)
    }

    /// The others reach it at that port.
    pub fn start_behind(&self, node: &Node, port: u16) -> Server {
        let mut settings = self.settings.clone();
        settings.insert("ADE_CLUSTER_NATS", self.nats.urls());
        settings.insert("ADE_CLUSTER_NODE", node.name.into());
        let scheme = if settings.contains_key("ADE_TLS_CERT") { "https" } else { "http" };
        settings.insert("ADE_CLUSTER_ADVERTISE", format!("{scheme}://127.0.0.1:{port}"));
        settings.insert("ADE_CLUSTER_SECRET", SECRET.into());
        settings.entry("ADE_DATABASE_URL").or_insert_with(|| self.database.url().to_owned());
        settings.insert("ADE_BIND", format!("127.0.0.1:{}", node.port));
        Server::start_with(node.folder.path(), &settings)
    }

    /// Two nodes that have seen each other.
    pub fn two(&self) -> ([Node; 2], Server, Server) {
        let nodes = ["a", "b"].map(Node::new);
        let [a, b] = [0, 1].map(|at| self.start(&nodes[at]));
        know_each_other(&a, &b);
        (nodes, a, b)
    }
}

impl Node {
    pub fn new(name: &'static str) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { name, folder: tempfile::tempdir().unwrap(), port }
    }

    /// The name of the stream that its journal is.
    pub fn journal(&self) -> String {
        format!("ade-ade-j-{}", self.name)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

pub fn know_each_other(a: &Server, b: &Server) {
    all_know_each_other(&[a, b]);
}

pub fn all_know_each_other(servers: &[&Server]) {
    let sees_all = |server: &&Server| {
        let list = server.get("/api/v1/system/nodes");
        list["items"].as_array().unwrap().iter().filter(|node| node["alive"] == true).count() == servers.len()
    };
    wait_until("all nodes are seen", || servers.iter().all(sees_all));
}

pub fn node_id(server: &Server) -> String {
    std::fs::read_to_string(server.data_dir.join("node_id")).unwrap().trim().to_owned()
}

pub fn get(server: &Server, path: &str) -> Response {
    server.send(&Request::get(path)).unwrap()
}

/// Nodes by their place, each of which may be down.
pub struct Nodes {
    pub world: World,
    pub nodes: Vec<Node>,
    servers: Vec<Option<Server>>,
}

impl Nodes {
    /// Three that have seen each other.
    pub fn three(world: World) -> Self {
        let mut all = Self { world, nodes: Vec::new(), servers: Vec::new() };
        for name in ["a", "b", "c"] {
            all.join(name);
        }
        all.know_each_other();
        all
    }

    /// One more, with nothing of its own.
    pub fn join(&mut self, name: &'static str) -> usize {
        let node = Node::new(name);
        self.servers.push(Some(self.world.start(&node)));
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    #[track_caller]
    pub fn at(&self, place: usize) -> &Server {
        self.servers[place].as_ref().expect("it is at work")
    }

    #[track_caller]
    pub fn at_mut(&mut self, place: usize) -> &mut Server {
        self.servers[place].as_mut().expect("it is at work")
    }

    /// Those that are at work, beginning with this one.
    pub fn all(&self) -> Vec<&Server> {
        self.servers.iter().flatten().collect()
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// What `kill -9` does.
    pub fn kill(&mut self, place: usize) {
        if let Some(server) = self.servers[place].take() {
            server.kill();
        }
    }

    pub fn is_down(&self, place: usize) -> bool {
        self.servers[place].is_none()
    }

    /// Starts what is down, or has ended by itself.
    pub fn revive(&mut self) {
        for (node, server) in self.nodes.iter().zip(&mut self.servers) {
            if server.as_mut().is_none_or(|server| server.has_ended().is_some()) {
                *server = None;
                *server = Some(self.world.start(node));
            }
        }
    }

    pub fn know_each_other(&self) {
        all_know_each_other(&self.all());
    }

    /// In good order, one after the other.
    pub fn stop(&mut self) {
        self.servers.iter_mut().filter_map(Option::take).for_each(Server::stop);
    }
}
