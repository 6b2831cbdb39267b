//! Where settings come from, as the program is given them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub type Environment = BTreeMap<String, String>;

/// A flag that sets a setting: `--data-dir x` is `{name: "--data-dir", key: "data_dir", value: "x"}`.
#[derive(Debug, Clone)]
pub struct Flag {
    pub name: &'static str,
    pub key: &'static str,
    pub value: String,
}

/// Where settings come from.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config`; else `ADE_CONFIG` of the environment.
    pub file: Option<PathBuf>,
    pub environment: Environment,
    pub flags: Vec<Flag>,
}

/// Variables by name alone: some are secret.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.environment.keys().collect::<Vec<_>>();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("variables", &variables)
            .field("flags", &self.flags)
            .finish()
    }
}
