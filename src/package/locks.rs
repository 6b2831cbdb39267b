//! Packages that are read while others want to exchange them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Whoever reads a package gets all of it as it was, or all of it as it is now.
#[derive(Debug, Clone, Default)]
pub struct PackageLocks(Arc<Mutex<HashMap<PathBuf, Arc<RwLock<()>>>>>);

impl PackageLocks {
    /// No one exchanges the package meanwhile. Blocks.
    pub fn reading<T>(&self, directory: &Path, work: impl FnOnce() -> T) -> T {
        let lock = self.of(directory);
        let _held = lock.read().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// No one reads or exchanges the package meanwhile. Blocks.
    pub fn exchanging<T>(&self, directory: &Path, work: impl FnOnce() -> T) -> T {
        let lock = self.of(directory);
        let _held = lock.write().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    fn of(&self, directory: &Path) -> Arc<RwLock<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(directory.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{content_digest, copy_package};
    use std::collections::HashSet;

    /// Two packages that differ in every file, exchanged for one another while they are copied.
    #[test]
    fn a_copy_is_never_a_mixture() {
        let root = tempfile::tempdir().unwrap();
        let plant = |name: &str, content: &str| {
            let directory = root.path().join(name);
            std::fs::create_dir_all(directory.join("src")).unwrap();
            (0..40).for_each(|n| std::fs::write(directory.join(format!("src/f{n}.py")), content).unwrap());
            directory
        };
        let (one, other, target) = (plant("one", "1"), plant("other", "2"), plant("target", "1"));
        let whole: HashSet<String> = [&one, &other].map(|directory| content_digest(directory).unwrap()).into();
        let locks = PackageLocks::default();
        std::thread::scope(|scope| {
            let exchange = scope.spawn(|| {
                for round in 0..30 {
                    let from = if round % 2 == 0 { &other } else { &one };
                    locks.exchanging(&target, || copy_package(from, &target).unwrap());
                }
            });
            let mut seen = HashSet::new();
            let mut number = 0;
            while !exchange.is_finished() || number < 5 {
                let copy = root.path().join(format!("copy-{number}"));
                let digest = locks.reading(&target, || copy_package(&target, &copy)).unwrap();
                assert!(whole.contains(&digest), "a mixture");
                seen.insert(digest);
                number += 1;
            }
            assert!(!seen.is_empty());
        });
    }
}
