//! Where the journal of a node is, and how it is reached.

use std::path::PathBuf;

use secrecy::SecretString;

/// The largest round that is published as one message. A server takes 1 MiB unless it is told otherwise.
pub(super) const ROUND_BYTES: usize = 512 << 10;
/// How many servers keep each round.
pub(super) const REPLICAS: usize = 3;

/// A journal that is kept by other machines.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Addresses of NATS servers; one that answers is enough.
    pub servers: Vec<String>,
    /// What tells the nodes of one service from those of another.
    pub cluster: String,
    /// What tells this node from the others. No two processes may have the same: the later one takes over.
    pub node: String,
    pub credentials: NatsCredentials,
    /// Certificates that are trusted; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// A certificate with its key, by which the servers know this client.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How many bytes of rounds the stream keeps as a second copy when the logs themselves are durable.
    pub keep_bytes: u64,
    /// A data directory that does not know the stream takes the node over all the same: its disk was lost.
    pub may_begin: bool,
}

/// How a node signs in to the servers.
#[derive(Debug, Clone, Default)]
pub enum NatsCredentials {
    #[default]
    None,
    Password {
        user: String,
        password: SecretString,
    },
    Token(SecretString),
    /// A file of credentials as NATS's tools make it.
    File(PathBuf),
}

impl ClusterOptions {
    /// Without credentials, and with what the service has by default for the rest.
    pub fn new(servers: Vec<String>, cluster: &str, node: &str) -> Self {
        Self {
            servers,
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            credentials: NatsCredentials::None,
            ca_file: None,
            certificate: None,
            keep_bytes: 256 << 20,
            may_begin: true,
        }
    }

    /// The name of the stream, and of its one subject.
    pub fn stream(&self) -> String {
        format!("ade-{}-j-{}", self.cluster, self.node)
    }
}
