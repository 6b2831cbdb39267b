//! What may be allowed of a directory that has secrets of the service below it.

use std::path::{Path, PathBuf};

/// The parts of a tree that have none of these below them: all of it, or, of a directory on the way to a secret, its
/// other entries. `entries` lists a directory. All paths are without links.
pub fn spared(tree: &Path, secrets: &[PathBuf], entries: &impl Fn(&Path) -> Vec<PathBuf>) -> Vec<PathBuf> {
    let (mut allowed, mut open) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(path) = open.pop() {
        if secrets.iter().any(|secret| path.starts_with(secret)) {
            continue;
        }
        match secrets.iter().any(|secret| secret.starts_with(&path)) {
            // At most as deep as the secrets are.
            true => open.extend(entries(&path)),
            false => allowed.push(path),
        }
    }
    allowed.sort();
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(path: &Path) -> Vec<PathBuf> {
        let names: &[&str] = match path.to_str().unwrap() {
            "/" => &["etc", "opt", "usr"],
            "/opt" => &["ade", "python"],
            "/opt/ade" => &["current", "data", "database"],
            _ => &[],
        };
        names.iter().map(|name| path.join(name)).collect()
    }

    #[test]
    fn a_tree_without_secrets_is_allowed_as_a_whole_and_one_with_them_in_parts() {
        let secrets = ["/opt/ade/data".into(), "/etc/ade.toml".into(), "/usr".into()];
        let spared = |tree: &str| spared(Path::new(tree), &secrets, &entries);
        assert_eq!(spared("/opt/python"), [PathBuf::from("/opt/python")]);
        // The name of one begins like that of the other.
        let of_ade = ["/opt/ade/current", "/opt/ade/database"].map(PathBuf::from);
        assert_eq!(spared("/opt/ade"), of_ade);
        assert_eq!(spared("/"), [&of_ade[..], &["/opt/python".into()]].concat());
        for none in ["/opt/ade/data", "/opt/ade/data/workspaces", "/usr/bin", "/etc/ade.toml"] {
            assert!(spared(none).is_empty(), "{none}");
        }
    }
}
