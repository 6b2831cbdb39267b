//! Which archives the packages on this disk are of, as far as that was looked at since the start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ConfigurationId;
use crate::domain::configuration::Configuration;

/// Changed by whoever edits the configuration, alone.
#[derive(Debug, Clone, Default)]
pub struct Trees(Arc<Mutex<HashMap<ConfigurationId, String>>>);

impl Trees {
    /// The package on the disk is that of the archive that counts.
    pub fn is_current(&self, configuration: &Configuration) -> bool {
        let trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = trees.get(&configuration.id).map(String::as_str);
        known.is_some() && known == configuration.current_package()
    }

    pub fn set(&self, id: ConfigurationId, package: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, package.to_owned());
    }

    /// It is to be looked at again.
    pub fn forget(&self, id: ConfigurationId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
