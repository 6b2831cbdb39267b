//! What one child may reach: data only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How much depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// The child is not confined, but for its user.
    #[default]
    Off,
    /// As far as the kernel can do it.
    BestEffort,
    /// As a whole, or the child does not start.
    Required,
}

/// What a child may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub level: Strictness,
    /// Files, and directories with all below them, of the system and the operator: to be read, listed and executed. They
    /// may be reached by links, and what is not there is no error.
    pub read: Vec<PathBuf>,
    /// Directories of the child's work, likewise. They have to be there, and no part of the way may be a link: a child
    /// that could put one there would choose what the next may reach.
    pub read_own: Vec<PathBuf>,
    /// Directories, with all below them: to do anything in but to make devices. They are found as those of `read_own`.
    pub write: Vec<PathBuf>,
    /// Whether it may make sockets; pairs that are connected from the beginning are none.
    pub network: bool,
    /// Whose it is, whatever the level: a number that is a user and a group. `None`: the service's own.
    pub user: Option<u32>,
}

impl Policy {
    /// On its way to the launcher: words that end with a zero, as no path has one.
    pub fn encode(&self) -> Vec<u8> {
        let level = match self.level {
            Strictness::Off => "off",
            Strictness::BestEffort => "best-effort",
            Strictness::Required => "required",
        };
        let network = if self.network { "network" } else { "no-network" };
        let mut words = Vec::new();
        let mut word = |parts: [&[u8]; 2]| words.extend([parts[0], parts[1], b"\0"].concat());
        word([level.as_bytes(), b""]);
        word([network.as_bytes(), b""]);
        self.user.iter().for_each(|user| word([b"u", user.to_string().as_bytes()]));
        self.read.iter().for_each(|path| word([b"r", path.as_os_str().as_bytes()]));
        self.read_own.iter().for_each(|path| word([b"o", path.as_os_str().as_bytes()]));
        self.write.iter().for_each(|path| word([b"w", path.as_os_str().as_bytes()]));
        words
    }

    /// `None` for what [`Policy::encode`] has not made.
    pub fn decode(words: &[u8]) -> Option<Self> {
        let mut words = words.strip_suffix(b"\0")?.split(|&byte| byte == 0);
        let level = match words.next()? {
            b"off" => Strictness::Off,
            b"best-effort" => Strictness::BestEffort,
            b"required" => Strictness::Required,
            _ => return None,
        };
        let network = match words.next()? {
            b"network" => true,
            b"no-network" => false,
            _ => return None,
        };
        let mut policy = Self { level, network, ..Self::default() };
        for word in words {
            match word.split_first()? {
                (b'u', user) => policy.user = Some(std::str::from_utf8(user).ok()?.parse().ok()?),
                (b'r', path) => policy.read.push(OsStr::from_bytes(path).into()),
                (b'o', path) => policy.read_own.push(OsStr::from_bytes(path).into()),
                (b'w', path) => policy.write.push(OsStr::from_bytes(path).into()),
                _ => return None,
            }
        }
        Some(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let odd = PathBuf::from(OsStr::from_bytes(b"/a\xff b\n"));
        for level in [Strictness::Off, Strictness::BestEffort, Strictness::Required] {
            for (network, user) in [(true, None), (false, Some(200_000))] {
                let read = vec!["/usr".into(), odd.clone()];
                let read_own = vec!["/data/run".into()];
                let write = vec!["/data/run/output".into()];
                let policy = Policy { level, read, read_own, write, network, user };
                assert_eq!(Policy::decode(&policy.encode()), Some(policy));
            }
        }
        assert_eq!(Policy::decode(&Policy::default().encode()), Some(Policy::default()));
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for words in [
            &b""[..],
            b"\0",
            b"on\0network\0",
            b"off\0",
            b"off\0net\0",
            b"off\0network\0x/usr\0",
            b"off\0network\0\0",
            b"off\0network\0u\0",
            b"off\0network\0u-1\0",
        ] {
            assert_eq!(Policy::decode(words), None, "{words:?}");
        }
        assert_eq!(Policy::decode(b"off\0network\0r/us"), None, "cut");
    }
}
