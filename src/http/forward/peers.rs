//! What this process has sent to other nodes, and what it has had from them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::replay::Window;
use crate::cluster::Nodes;
use crate::config::PeerSettings;
use crate::domain::id::NodeId;
use crate::domain::node::Incarnation;
use crate::outbound::CertificatesError;
use crate::outbound::tls::trusting;

/// Of a node that is not alone.
pub struct Peers {
    pub nodes: Nodes,
    pub settings: PeerSettings,
    pub tls: Arc<rustls::ClientConfig>,
    sent: AtomicU64,
    /// Of each node, the process that is at work now.
    taken: Mutex<HashMap<NodeId, (Incarnation, Window)>>,
}

impl Peers {
    /// None of a node that is alone.
    pub fn of(nodes: &Nodes) -> Result<Option<Self>, CertificatesError> {
        let Some(settings) = nodes.settings().cloned() else { return Ok(None) };
        let tls = trusting(settings.ca_file.as_deref().map(Path::new))?;
        let (sent, taken) = (AtomicU64::new(0), Mutex::default());
        Ok(Some(Self { nodes: nodes.clone(), settings, tls, sent, taken }))
    }

    /// For the next request that is passed on.
    pub fn number(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// False when it has come before. `from` is at work now: nodes are only so many.
    pub fn take(&self, from: Incarnation, number: u64) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, window) = taken.entry(from.node).or_insert_with(|| (from, Window::default()));
        if *known != from {
            (*known, *window) = (from, Window::default());
        }
        window.take(number)
    }

    /// Whether this is the process of that node that is at work, as far as is known.
    pub fn is_at_work(&self, process: Incarnation) -> bool {
        self.nodes.peer(process.node).is_some_and(|peer| peer.incarnation == process)
    }
}
