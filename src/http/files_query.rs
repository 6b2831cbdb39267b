//! What part of a configuration's files a list is asked for.

use super::problem::{Code, Problem};
use super::query::{RawQuery, digits};
use crate::package::{EntryContent, PackageEntry};

pub const MOST: u64 = 5000;
const UNLESS_TOLD: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only what has the prefix as its path.
    Itself,
    /// What is right in it, too.
    Children,
    Infinity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Path,
    Name,
    Modified,
    Size,
}

/// A parsed request for a list of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesQuery {
    /// Without slashes at its ends; empty for the package as a whole.
    pub prefix: String,
    pub depth: Depth,
    key: Key,
    descending: bool,
    limit: usize,
    token: Option<String>,
}

impl Depth {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "0",
            Self::Children => "1",
            Self::Infinity => "infinity",
        }
    }
}

impl FilesQuery {
    pub fn read(mut query: RawQuery) -> Result<Self, Problem> {
        let prefix = query.take("prefix")?.unwrap_or_default().trim_matches('/').to_owned();
        let depth = match query.take("depth")?.as_deref() {
            None | Some("infinity") => Depth::Infinity,
            Some("1") => Depth::Children,
            Some("0") => Depth::Itself,
            Some(_) => return Err(Problem::invalid_query("depth", "0, 1 or infinity")),
        };
        let key = match query.take("sort")?.as_deref() {
            None | Some("path") => Key::Path,
            Some("name") => Key::Name,
            Some("mtime") => Key::Modified,
            Some("size") => Key::Size,
            Some(_) => return Err(Problem::invalid_query("sort", "path, name, mtime or size")),
        };
        let descending = match query.take("order")?.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Problem::invalid_query("order", "asc or desc")),
        };
        let limit = query.number("limit")?.unwrap_or(UNLESS_TOLD);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::invalid_query("limit", format!("a whole number from 1 to {MOST}")));
        }
        let token = query.take("page_token")?;
        query.finish("prefix, depth, sort, order, limit, page_token")?;
        Ok(Self { prefix, depth, key, descending, limit: limit as usize, token })
    }

    /// The entries that are asked for, in the order that is asked for.
    pub fn found<'a>(&self, entries: &'a [PackageEntry]) -> Vec<&'a PackageEntry> {
        let mut found: Vec<_> = entries.iter().filter(|entry| self.holds(&entry.path)).collect();
        found.sort_by(|one, other| {
            let order = match self.key {
                Key::Path => one.path.cmp(&other.path),
                Key::Name => name(one).cmp(name(other)),
                Key::Modified => one.modified_at.cmp(&other.modified_at),
                Key::Size => size(one).cmp(&size(other)),
            };
            let order = order.then_with(|| one.path.cmp(&other.path));
            if self.descending { order.reverse() } else { order }
        });
        found
    }

    fn holds(&self, path: &str) -> bool {
        if path == self.prefix {
            return true;
        }
        let below = match self.prefix.as_str() {
            "" => Some(path),
            prefix => path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        below.is_some_and(|below| match self.depth {
            Depth::Itself => false,
            Depth::Children => !below.contains('/'),
            Depth::Infinity => true,
        })
    }

    /// Of so many entries, those of this page, and the token of the next one. A token is good as long as the files are
    /// what they were.
    pub fn page(&self, found: usize, hash: &str) -> Result<(std::ops::Range<usize>, Option<String>), Problem> {
        let begin = self.token.as_deref().map_or(Some(0), |token| read(token, hash));
        let begin = begin.filter(|begin| *begin <= found).ok_or_else(|| {
            Problem::new(Code::InvalidCursor, "the files have changed since; list them again from the beginning")
        })?;
        let end = found.min(begin + self.limit);
        Ok((begin..end, (end < found).then(|| write(end, hash))))
    }
}

fn write(begin: usize, hash: &str) -> String {
    format!("{begin}.{}", short(hash))
}

fn read(token: &str, hash: &str) -> Option<usize> {
    let (begin, of) = token.split_once('.')?;
    digits(begin)?.try_into().ok().filter(|_| of == short(hash))
}

fn short(hash: &str) -> &str {
    let hex = hash.rsplit_once(':').map_or(hash, |(_, hex)| hex);
    hex.get(..16).unwrap_or(hex)
}

fn name(entry: &PackageEntry) -> &str {
    entry.parent_and_name().1
}

fn size(entry: &PackageEntry) -> u64 {
    match entry.content {
        EntryContent::File { size, .. } => size,
        EntryContent::Directory { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn query(text: &str) -> FilesQuery {
        FilesQuery::read(RawQuery::parse(text).unwrap()).unwrap()
    }

    fn entries() -> Vec<PackageEntry> {
        let entry = |path: &str, size| PackageEntry {
            path: path.into(),
            modified_at: Timestamp::default(),
            content: match size {
                0 => EntryContent::Directory { has_children: true },
                size => EntryContent::File { size, digest: "sha256:00".into() },
            },
        };
        vec![entry("a", 0), entry("a/b", 0), entry("a/b/c.py", 3), entry("a/z.py", 1), entry("ab.py", 2)]
    }

    #[test]
    fn a_list_is_of_a_part_in_an_order() {
        let all = entries();
        for (text, expected) in [
            ("", vec!["a", "a/b", "a/b/c.py", "a/z.py", "ab.py"]),
            ("depth=1", vec!["a", "ab.py"]),
            ("depth=0", vec![]),
            ("prefix=a&depth=0", vec!["a"]),
            ("prefix=/a/&depth=1", vec!["a", "a/b", "a/z.py"]),
            ("prefix=a/b", vec!["a/b", "a/b/c.py"]),
            ("prefix=../a", vec![]),
            ("sort=name", vec!["a", "ab.py", "a/b", "a/b/c.py", "a/z.py"]),
            ("sort=size&order=desc&limit=2", vec!["a/b/c.py", "ab.py", "a/z.py", "a/b", "a"]),
        ] {
            let query = query(text);
            let found: Vec<_> = query.found(&all).iter().map(|entry| entry.path.as_str()).collect();
            assert_eq!(found, expected, "{text}");
        }
        for text in ["depth=2", "sort=colour", "order=up", "limit=0", "limit=5001", "include=x", "depth=1&depth=1"] {
            assert!(FilesQuery::read(RawQuery::parse(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn pages_lead_through_all_entries_unless_the_files_change() {
        let hash = "sha256:0123456789abcdef0123";
        let (first, token) = query("limit=2").page(5, hash).unwrap();
        let next = query(&format!("limit=3&page_token={}", token.unwrap()));
        assert_eq!((first, next.page(5, hash).unwrap()), (0..2, (2..5, None)));
        assert!(next.page(5, "sha256:ff").is_err());
        for token in ["", "x", "-1.0123456789abcdef", "9.0123456789abcdef", "99999999999999999999.0123456789abcdef"] {
            assert!(query(&format!("page_token={token}")).page(5, hash).is_err(), "{token}");
        }
    }
}
