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
    /// The name of the stream, and of its one subject.
    pub fn stream(&self) -> String {
        format!("ade-{}-j-{}", self.cluster, self.node)
    }
}
