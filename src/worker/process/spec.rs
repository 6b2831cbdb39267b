//! What to start: data only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::domain::{BuildId, RunId, StreamKey, StreamKind};
use crate::isolation::Policy;

/// A child process before it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub cwd: PathBuf,
    /// All that the child will see, but for the markers; nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    pub marker: Marker,
    pub limits: ResourceLimits,
    /// What it may reach.
    pub policy: Policy,
    /// Whether a line that begins like a JSON object may be as long as an event.
    pub event_lines: bool,
}

/// An environment variable that children and their children carry, by which they are found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Marker {
    pub name: &'static str,
    pub value: String,
}

impl Marker {
    pub fn run(id: RunId) -> Self {
        Self::of_kind(StreamKind::RUN, id)
    }

    pub fn build(id: BuildId) -> Self {
        Self::of_kind(StreamKind::BUILD, id)
    }

    /// Of the work whose stream this is, if work of its kind has processes.
    pub fn of(key: StreamKey) -> Option<Self> {
        key.kind().facts().marker.map(|name| Self { name, value: key.to_string() })
    }

    fn of_kind(kind: StreamKind, id: impl ToString) -> Self {
        Self { name: kind.facts().marker.expect("it has processes"), value: id.to_string() }
    }

    /// For a command that belongs to no run and no build.
    pub fn probe() -> Self {
        Self { name: "ADE_PROBE_ID", value: ulid::Ulid::generate().to_string() }
    }

    /// For every child of a service, whatever it works at; `node` names the data directory.
    pub fn node(node: String) -> Self {
        Self { name: "ADE_NODE", value: node }
    }

    /// Whether the content of a `/proc/<pid>/environ` has it.
    pub(super) fn is_in(&self, environ: &[u8]) -> bool {
        environ.split(|&byte| byte == 0).any(|entry| {
            entry.strip_prefix(self.name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
                == Some(self.value.as_bytes())
        })
    }
}

/// Upper bounds that the kernel keeps, per process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceLimits {
    pub cpu_seconds: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub file_size_bytes: Option<u64>,
}

impl ResourceLimits {
    /// As an argument of the launcher, which sets them for the child alone.
    pub(super) fn to_argument(self) -> String {
        let number = |limit: Option<u64>| limit.map_or("-".to_owned(), |limit| limit.to_string());
        [self.cpu_seconds, self.memory_bytes, self.file_size_bytes].map(number).join(",")
    }

    pub(super) fn from_argument(text: &str) -> Option<Self> {
        let number = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
        let mut numbers = text.split(',').map(number);
        let mut next = || numbers.next().flatten();
        Some(Self { cpu_seconds: next()?, memory_bytes: next()?, file_size_bytes: next()? })
    }

    /// Called between fork and exec, so it may neither allocate nor lock.
    pub(super) fn apply(self) -> std::io::Result<()> {
        // Past the soft limit a child may still tidy up, a second later the kernel ends it.
        limit(libc::RLIMIT_CPU, self.cpu_seconds, 1)?;
        limit(libc::RLIMIT_AS, self.memory_bytes, 0)?;
        limit(libc::RLIMIT_FSIZE, self.file_size_bytes, 0)
    }
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: libc::__rlimit_resource_t, value: Option<u64>, slack: u64) -> std::io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let mut current = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or write the struct they are given.
    unsafe {
        if libc::getrlimit(resource, &mut current) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let wanted = libc::rlimit {
            rlim_cur: value.min(current.rlim_cur),
            rlim_max: value.saturating_add(slack).min(current.rlim_max),
        };
        if libc::setrlimit(resource, &wanted) != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_an_argument_and_back() {
        let some = ResourceLimits { cpu_seconds: Some(7), memory_bytes: None, file_size_bytes: Some(u64::MAX) };
        for limits in [some, ResourceLimits::default()] {
            assert_eq!(ResourceLimits::from_argument(&limits.to_argument()), Some(limits));
        }
        for text in ["", "1,2", "a,b,c", "-,-"] {
            assert_eq!(ResourceLimits::from_argument(text), None, "{text}");
        }
    }

    #[test]
    fn a_marker_matches_a_whole_entry_only() {
        let marker = Marker { name: "ADE_RUN_ID", value: "run_1".into() };
        assert!(marker.is_in(b"PATH=/bin\0ADE_RUN_ID=run_1\0HOME=/\0"));
        assert!(marker.is_in(b"ADE_RUN_ID=run_1"));
        for other in
            [&b"ADE_RUN_ID=run_12\0"[..], b"XADE_RUN_ID=run_1\0", b"X=ADE_RUN_ID=run_1\0", b"ADE_RUN_ID\0", b""]
        {
            assert!(!marker.is_in(other));
        }
    }
}
