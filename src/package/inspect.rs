//! What is wrong with a package, as far as that can be seen without running it: all of it at once, each at its file.
//!
//! An engine says more ([`check_package`](super::check_package) asks less: what a directory must have to be kept as a
//! package at all); this is for whoever edits one.

use std::collections::HashSet;
use std::io;

use serde_json::Value;

use super::check::{MANIFEST, PROJECT};
use super::tree::{TreeError, files};
use crate::domain::text::clipped;
use crate::files::{Dir, Location};

/// More are not listed.
const MOST: usize = 100;
/// Bytes of a file that is looked into.
const LARGEST: u64 = 1 << 20;
const SOURCES: &str = "src/ade_config";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The file that is to be mended, relative to the package.
    pub path: String,
    pub message: String,
}

impl Issue {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: clipped(&message.into(), 500) }
    }
}

/// In the order of the files; none when nothing is wrong. Blocks.
pub fn inspect_package(directory: &Location) -> Result<Vec<Issue>, TreeError> {
    let dir = directory.open().map_err(TreeError::io(directory.path()))?;
    let files = files(&dir)?;
    let mut issues = missing(&files);
    for path in &files {
        if issues.len() >= MOST {
            break;
        }
        issues.extend(of_file(&dir, path));
    }
    if issues.iter().all(|issue| issue.path != MANIFEST) {
        issues.extend(of_manifest(&dir, &files));
    }
    issues.sort_by(|one, other| one.path.cmp(&other.path));
    issues.truncate(MOST);
    Ok(issues)
}

fn missing(files: &[String]) -> Vec<Issue> {
    let needed = [PROJECT, MANIFEST];
    let missing = needed.iter().filter(|needed| !files.iter().any(|file| file == *needed));
    missing.map(|path| Issue::new(*path, "is missing")).collect()
}

/// Whether it is what its name says.
fn of_file(dir: &Dir, path: &str) -> Option<Issue> {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension)?;
    if !["py", "json", "toml"].contains(&extension) {
        return None;
    }
    let text = match dir.read(path, LARGEST) {
        Ok(content) => String::from_utf8(content),
        // Data may be large; nobody writes such a manifest.
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge && path != MANIFEST && path != PROJECT => {
            return None;
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Some(Issue::new(path, "is too large")),
        Err(_) => return Some(Issue::new(path, "cannot be read")),
    };
    let Ok(text) = text else { return Some(Issue::new(path, "is not utf-8 text")) };
    match extension {
        "json" => {
            serde_json::from_str::<Value>(&text).err().map(|error| Issue::new(path, format!("is not json: {error}")))
        }
        "toml" => {
            let parsed = toml::de::DeTable::parse(&text);
            parsed.err().map(|error| Issue::new(path, format!("is not toml: {}", error.message())))
        }
        _ => text.contains('\0').then(|| Issue::new(path, "has a NUL character")),
    }
}

/// What the manifest names must be there.
fn of_manifest(dir: &Dir, files: &[String]) -> Vec<Issue> {
    let Some(manifest) = dir.read(MANIFEST, LARGEST).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok())
    else {
        return Vec::new();
    };
    let Some(members) = manifest.as_object() else { return vec![Issue::new(MANIFEST, "is not a json object")] };
    let files: HashSet<&str> = files.iter().map(String::as_str).collect();
    let mut named: Vec<(String, &Value)> = Vec::new();
    if let Some(fields) = members.get("columns").and_then(|columns| columns["fields"].as_object()) {
        let modules = fields.iter().filter_map(|(name, field)| Some((name, field.get("module")?)));
        named.extend(modules.map(|(name, module)| (format!("columns.fields.{name}.module"), module)));
    }
    if let Some(hooks) = members.get("hooks").and_then(Value::as_object) {
        let each =
            hooks.iter().flat_map(|(name, modules)| modules.as_array().into_iter().flatten().map(move |m| (name, m)));
        named.extend(each.map(|(name, module)| (format!("hooks.{name}"), module)));
    }
    let issue = |(place, module): (String, &Value)| {
        let problem = match module.as_str() {
            None => "must name a module".to_owned(),
            Some(module) if has_module(&files, module) => return None,
            Some(module) => format!("names the module {module:?}, which is not in {SOURCES}"),
        };
        Some(Issue::new(MANIFEST, format!("{} {problem}", clipped(&place, 200))))
    };
    named.into_iter().filter_map(issue).take(MOST).collect()
}

/// As `columns.email`, or as `columns/email.py`.
fn has_module(files: &HashSet<&str>, module: &str) -> bool {
    let path = match module.strip_suffix(".py") {
        Some(path) => path.to_owned(),
        None => module.replace('.', "/"),
    };
    let path = path.strip_prefix("ade_config/").unwrap_or(&path);
    [format!("{SOURCES}/{path}.py"), format!("{SOURCES}/{path}/__init__.py")].iter().any(|file| files.contains(&**file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::package::{templates, write_template};

    fn issues(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let issues = inspect_package(&directory.path().into()).unwrap();
        issues.into_iter().map(|issue| (issue.path, issue.message)).collect()
    }

    #[test]
    fn templates_have_no_issues() {
        let directory = tempfile::tempdir().unwrap();
        for template in templates() {
            let into = directory.path().join(template.id);
            write_template(template.id, &into).unwrap();
            assert_eq!(inspect_package(&into.as_path().into()).unwrap(), []);
        }
    }

    #[test]
    fn every_issue_is_told_at_its_file() {
        assert_eq!(issues(&[]).len(), 2);
        let manifest = r#"{"columns": {"fields": {"a": {"module": "columns.a"}, "b": {"module": "columns/b.py"}, "c": {}}},
            "hooks": {"on_run_end": ["hooks.x", 3]}}"#;
        let found = issues(&[
            (PROJECT, "x = "),
            (MANIFEST, manifest),
            ("src/ade_config/__init__.py", ""),
            ("src/ade_config/columns/a.py", "x = 1"),
            ("src/ade_config/data.json", "{"),
            ("README.md", "{"),
        ]);
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, [PROJECT, "src/ade_config/data.json", MANIFEST, MANIFEST, MANIFEST], "{found:?}");
        assert!(found[2].1.contains("columns.fields.b.module") && found[2].1.contains("columns/b.py"), "{found:?}");
        assert_eq!(issues(&[(PROJECT, ""), (MANIFEST, "[]"), ("src/ade_config/__init__.py", "")]).len(), 1);
    }

    #[test]
    fn a_broken_package_has_at_most_a_hundred_issues() {
        let names: Vec<String> = (0..300).map(|number| format!("x{number}.json")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), "{")).collect();
        assert_eq!(issues(&files).len(), MOST);
    }
}
