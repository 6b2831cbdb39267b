//! What people put in: workspaces, configuration packages and input documents.

use std::path::PathBuf;

use serde_json::Value;

use super::status::RunStatus;
use super::time::Timestamp;
use super::{BuildId, ConfigurationId, DocumentId, RunId, WorkspaceId};

/// The slug of the workspace that is meant when none is named; it is made when it is first written to.
pub const DEFAULT_WORKSPACE: &str = "local";

#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    pub slug: String,
    pub created_at: Timestamp,
    /// Whether it is the one that its reader means when none is named; false unless that was looked up.
    pub is_default: bool,
}

super::status::text_enum! {
    /// Only a draft can be edited. Later states mean that it is in use, or was: its runs must stay comparable.
    ConfigurationStatus { Draft = "draft", Published = "published", Active = "active", Inactive = "inactive" }
}

impl ConfigurationStatus {
    pub fn is_editable(self) -> bool {
        self == Self::Draft
    }
}

/// A stored configuration package; its files are in [`Configuration::directory`].
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    pub id: ConfigurationId,
    pub workspace_id: WorkspaceId,
    pub display_name: String,
    pub status: ConfigurationStatus,
    /// `sha256:<hex>` over every stored file.
    pub content_digest: String,
    /// The archive of its files that the object store has, by its name; none: the files on the disk count.
    pub package: Option<String>,
    /// The build that new runs use.
    pub active_build_id: Option<BuildId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Since when it cannot be edited any more, if that was asked for by itself.
    pub published_at: Option<Timestamp>,
    pub activated_at: Option<Timestamp>,
}

impl Configuration {
    /// A new one, before it has files.
    pub fn draft(workspace_id: WorkspaceId, display_name: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id: ConfigurationId::generate(),
            workspace_id,
            display_name: display_name.into(),
            status: ConfigurationStatus::Draft,
            content_digest: String::new(),
            package: None,
            active_build_id: None,
            created_at: now,
            updated_at: now,
            published_at: None,
            activated_at: None,
        }
    }

    /// The package's directory, relative to the data directory.
    pub fn directory(&self) -> PathBuf {
        Self::directory_of(self.workspace_id, self.id)
    }

    pub fn directory_of(workspace_id: WorkspaceId, id: ConfigurationId) -> PathBuf {
        format!("workspaces/{workspace_id}/configurations/{id}").into()
    }

    /// The archive that counts. One of other content is of before the files were changed without an object store.
    pub fn current_package(&self) -> Option<&str> {
        let digest = self.content_digest.strip_prefix("sha256:")?;
        self.package.as_deref().filter(|name| name.starts_with(digest))
    }

    /// Where archives of its files are, relative to the data directory.
    pub fn packages_of(workspace_id: WorkspaceId, id: ConfigurationId) -> PathBuf {
        format!("workspaces/{workspace_id}/packages/{id}").into()
    }

    /// Where the archive of that name is.
    pub fn package_path(&self, name: &str) -> PathBuf {
        Self::packages_of(self.workspace_id, self.id).join(name)
    }
}

/// An uploaded input. The name is data, never a path: the stored file is named by the id.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub id: DocumentId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub content_type: String,
    pub byte_size: u64,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    pub metadata: Value,
    /// Without repetition, in the order of their bytes.
    pub tags: Vec<String>,
    /// When it is deleted by itself.
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The newest run that works or has worked on it; none unless that was looked up.
    pub last_run: Option<LastRun>,
}

super::status::text_enum! {
    /// How far a document has come, by its newest run.
    DocumentStatus { Uploaded = "uploaded", Processing = "processing", Processed = "processed", Failed = "failed" }
}

/// What a document tells of its newest run.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    pub run_id: RunId,
    pub status: RunStatus,
    /// When it ended, else when it started, else when it was created.
    pub run_at: Timestamp,
    pub message: Option<String>,
}

/// What can be changed of a document; its content cannot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentChange {
    pub tags: Option<Vec<String>>,
    pub metadata: Option<Value>,
    pub expires_at: Option<Option<Timestamp>>,
}

impl Document {
    pub fn status(&self) -> DocumentStatus {
        match self.last_run.as_ref().map(|run| run.status) {
            None => DocumentStatus::Uploaded,
            Some(RunStatus::Queued | RunStatus::Building | RunStatus::Running) => DocumentStatus::Processing,
            Some(RunStatus::Succeeded) => DocumentStatus::Processed,
            Some(RunStatus::Failed | RunStatus::Cancelled) => DocumentStatus::Failed,
        }
    }

    /// The stored file, relative to the data directory.
    pub fn path(&self) -> PathBuf {
        Self::path_of(self.workspace_id, self.id)
    }

    pub fn path_of(workspace_id: WorkspaceId, id: DocumentId) -> PathBuf {
        format!("workspaces/{workspace_id}/documents/{id}").into()
    }

    /// The extension an engine is shown: letters and digits of the original name's, lower case, at most ten.
    pub fn extension(&self) -> Option<String> {
        let (_, extension) = self.name.rsplit_once('.')?;
        let plain = (1..=10).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
        plain.then(|| extension.to_ascii_lowercase())
    }

    /// The name of the copy that a run's engine reads: `<document id>-<safe name>.<extension>`, of which all but the id
    /// may be missing.
    pub fn staged_name(&self) -> String {
        let extension = self.extension();
        let stem = match &extension {
            Some(extension) => &self.name[..self.name.len() - extension.len() - 1],
            None => &self.name,
        };
        let safe = safe_name(stem);
        let dash = if safe.is_empty() { "" } else { "-" };
        let extension = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
        format!("{}{dash}{safe}{extension}", self.id)
    }
}

/// ASCII letters, digits, `-` and `_` of a name, at most 60 of them; every run of anything else becomes one `_`.
fn safe_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = name.split(|c| !is_plain(c)).filter(|word| !word.is_empty());
    let mut safe = words.collect::<Vec<_>>().join("_");
    safe.truncate(60);
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_gives_no_path() {
        let mut document = Document {
            id: DocumentId::generate(),
            workspace_id: WorkspaceId::generate(),
            name: "../../../x.csv".into(),
            content_type: "text/csv".into(),
            byte_size: 0,
            sha256: String::new(),
            metadata: Value::Null,
            tags: Vec::new(),
            expires_at: None,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            last_run: None,
        };
        let mut staged = |name: &str| {
            document.name = name.into();
            document.staged_name().strip_prefix(&document.id.to_string()).unwrap().to_owned()
        };
        for (name, expected) in [
            ("../../../x.csv", "-x.csv"),
            ("a./../../etc", "-a_etc"),
            ("Q1 Ums\u{e4}tze (final).XLSX", "-Q1_Ums_tze_final.xlsx"),
            ("report.2024-05.csv", "-report_2024-05.csv"),
            ("\u{6771}\u{4eac}.xlsx", ".xlsx"),
            ("\0\n", ""),
            ("", ""),
            (".csv", ".csv"),
        ] {
            assert_eq!(staged(name), expected, "{name:?}");
        }
        assert_eq!(staged(&"x".repeat(5000)).len(), 61);
    }
}
