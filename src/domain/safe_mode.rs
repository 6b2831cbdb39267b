//! Safe mode: the service answers, and begins nothing new.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SafeMode {
    pub enabled: bool,
    /// Why, for those who are refused.
    pub detail: Option<String>,
}

impl SafeMode {
    /// What a caller that is refused gets to read.
    pub fn reason(&self) -> &str {
        self.detail.as_deref().unwrap_or("safe mode is on: no new work is taken")
    }
}
