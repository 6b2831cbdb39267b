//! Files of configurations, as an editor shows them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::time::{self, Timestamp};
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::package::{EntryContent, Issue, MAX_FILE, PackageEntry};

#[derive(Debug, Serialize, ToSchema)]
pub struct FileListing<'a> {
    workspace_id: WorkspaceId,
    configuration_id: ConfigurationId,
    status: ConfigurationStatus,
    capabilities: FileCapabilities,
    /// Always empty: paths begin at the package.
    root: &'static str,
    prefix: &'a str,
    depth: &'a str,
    #[schema(format = DateTime)]
    generated_at: String,
    /// Of all paths and contents of the package, whatever part of it is listed.
    fileset_hash: &'a str,
    summary: FileCounts,
    limits: FileLimits,
    /// How many entries there are here.
    count: usize,
    next_token: Option<String>,
    entries: Vec<FileEntry<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileCapabilities {
    editable: bool,
    can_create: bool,
    can_delete: bool,
    can_rename: bool,
}

/// Of all that was asked for, on whatever page.
#[derive(Debug, Serialize, ToSchema)]
struct FileCounts {
    files: usize,
    directories: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileLimits {
    code_max_bytes: usize,
    asset_max_bytes: usize,
}

/// What is listed, and of what.
pub struct Listed<'a> {
    pub prefix: &'a str,
    pub depth: &'a str,
    pub hash: &'a str,
    /// All that was asked for.
    pub found: &'a [&'a PackageEntry],
    /// Those of them that are on this page.
    pub page: &'a [&'a PackageEntry],
    pub next_token: Option<String>,
}

impl<'a> FileListing<'a> {
    pub fn of(configuration: &Configuration, listed: Listed<'a>) -> Self {
        let editable = configuration.status.is_editable();
        let directories = listed.found.iter().filter(|entry| is_directory(entry)).count();
        Self {
            workspace_id: configuration.workspace_id,
            configuration_id: configuration.id,
            status: configuration.status,
            capabilities: FileCapabilities {
                editable,
                can_create: editable,
                can_delete: editable,
                can_rename: editable,
            },
            root: "",
            prefix: listed.prefix,
            depth: listed.depth,
            generated_at: String::new(),
            fileset_hash: listed.hash,
            summary: FileCounts { files: listed.found.len() - directories, directories },
            limits: FileLimits { code_max_bytes: MAX_FILE, asset_max_bytes: MAX_FILE },
            count: listed.page.len(),
            next_token: listed.next_token,
            entries: listed.page.iter().map(|entry| FileEntry::of(entry)).collect(),
        }
    }

    /// As it is sent. Until then it has no time, which is all that differs between two listings of the same files.
    pub fn generated(mut self, at: Timestamp) -> Self {
        self.generated_at = time::format(at);
        self
    }
}

fn is_directory(entry: &PackageEntry) -> bool {
    matches!(entry.content, EntryContent::Directory { .. })
}

#[derive(Debug, Serialize, ToSchema)]
struct FileEntry<'a> {
    path: &'a str,
    name: &'a str,
    parent: &'a str,
    kind: &'static str,
    /// How many directories it is in.
    depth: usize,
    size: Option<u64>,
    #[schema(format = DateTime)]
    mtime: String,
    /// Null of a directory.
    etag: Option<&'a str>,
    content_type: &'static str,
    has_children: bool,
}

impl<'a> FileEntry<'a> {
    fn of(entry: &'a PackageEntry) -> Self {
        let (parent, name) = entry.parent_and_name();
        let (kind, size, etag, has_children) = match &entry.content {
            EntryContent::Directory { has_children } => ("dir", None, None, *has_children),
            EntryContent::File { size, digest } => ("file", Some(*size), Some(digest.as_str()), false),
        };
        let content_type = if kind == "dir" { "inode/directory" } else { content_type(name) };
        let (depth, mtime) = (entry.path.matches('/').count(), time::format(entry.modified_at));
        Self { path: &entry.path, name, parent, kind, depth, size, mtime, etag, content_type, has_children }
    }
}

/// Of files that people write by hand; whatever else there is has no type of its own.
pub fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("py") => "text/x-python",
        Some("json") => "application/json",
        Some("toml") => "application/toml",
        Some("yaml" | "yml") => "application/yaml",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("txt" | "rst" | "cfg" | "ini") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// A file with its content, for clients that accept JSON rather than the bytes themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileContent<'a> {
    path: &'a str,
    /// `utf-8`, or `base64` for what is no text.
    encoding: &'static str,
    content: String,
    size: u64,
    #[schema(format = DateTime)]
    mtime: String,
    etag: &'a str,
    content_type: &'static str,
}

impl<'a> FileContent<'a> {
    pub fn of(entry: &'a PackageEntry, content: Vec<u8>) -> Self {
        use base64::Engine as _;
        let (size, etag) = facts(entry);
        let (encoding, content) = match String::from_utf8(content) {
            Ok(text) => ("utf-8", text),
            Err(error) => ("base64", base64::engine::general_purpose::STANDARD.encode(error.as_bytes())),
        };
        let (path, mtime) = (entry.path.as_str(), time::format(entry.modified_at));
        Self { path, encoding, content, size, mtime, etag, content_type: content_type(path) }
    }
}

fn facts(entry: &PackageEntry) -> (u64, &str) {
    match &entry.content {
        EntryContent::File { size, digest } => (*size, digest),
        EntryContent::Directory { .. } => (0, ""),
    }
}

/// A file that was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileWritten<'a> {
    path: &'a str,
    created: bool,
    size: u64,
    #[schema(format = DateTime)]
    mtime: String,
    etag: &'a str,
    /// Of the configuration, as it is now.
    content_digest: &'a str,
}

impl<'a> FileWritten<'a> {
    pub fn of(entry: &'a PackageEntry, created: bool, configuration: &'a Configuration) -> Self {
        let (size, etag) = facts(entry);
        let mtime = time::format(entry.modified_at);
        let content_digest = &configuration.content_digest;
        Self { path: &entry.path, created, size, mtime, etag, content_digest }
    }
}

/// A file that has another path now.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileMoved<'a> {
    from: &'a str,
    to: &'a str,
    size: u64,
    #[schema(format = DateTime)]
    mtime: String,
    etag: &'a str,
    content_digest: &'a str,
}

impl<'a> FileMoved<'a> {
    pub fn of(from: &'a str, entry: &'a PackageEntry, configuration: &'a Configuration) -> Self {
        let (size, etag) = facts(entry);
        let mtime = time::format(entry.modified_at);
        Self { from, to: &entry.path, size, mtime, etag, content_digest: &configuration.content_digest }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DirectoryMade<'a> {
    pub path: &'a str,
    pub created: bool,
}

/// What is wrong with a configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigurationValidation)]
pub struct ValidationResource<'a> {
    id: ConfigurationId,
    workspace_id: WorkspaceId,
    status: ConfigurationStatus,
    content_digest: &'a str,
    issues: Vec<IssueResource>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigurationIssue)]
struct IssueResource {
    path: String,
    message: String,
}

impl<'a> ValidationResource<'a> {
    pub fn of(configuration: &'a Configuration, issues: Vec<Issue>) -> Self {
        let issues = issues.into_iter().map(|Issue { path, message }| IssueResource { path, message }).collect();
        Self {
            id: configuration.id,
            workspace_id: configuration.workspace_id,
            status: configuration.status,
            content_digest: &configuration.content_digest,
            issues,
        }
    }
}
