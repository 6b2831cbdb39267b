//! The switch of safe mode.
//!
//! Law: what is stored counts, and only where nothing was ever stored the setting does. New work is refused as soon as
//! the switch is on; what is queued stands before a held gate until it is off.

use std::sync::Arc;

use chrono::Utc;
use tokio::sync::{Mutex, watch};

use crate::domain::principal::Principal;
use crate::domain::safe_mode::SafeMode;
use crate::domain::time::micros;
use crate::store::{Store, StoreError};
use crate::worker::run::Capacity;

#[derive(Clone)]
pub struct SafeModeSwitch {
    state: watch::Sender<SafeMode>,
    /// One change at a time, so that what is stored last is what counts.
    turn: Arc<Mutex<()>>,
    store: Store,
    capacity: Capacity,
}

impl SafeModeSwitch {
    pub fn new(enabled: bool, store: Store, capacity: Capacity) -> Self {
        let switch = Self { state: watch::Sender::default(), turn: Arc::default(), store, capacity };
        switch.turn_to(SafeMode { enabled, detail: None });
        switch
    }

    /// Takes up what an earlier life has stored.
    pub async fn restore(&self) -> Result<(), StoreError> {
        if let Some(stored) = self.store.safe_mode().await? {
            self.turn_to(stored);
        }
        Ok(())
    }

    pub fn current(&self) -> SafeMode {
        self.state.borrow().clone()
    }

    /// What refuses new work, if anything does.
    pub fn refusal(&self) -> Option<SafeMode> {
        Some(self.current()).filter(|safe_mode| safe_mode.enabled)
    }

    pub async fn set(&self, wanted: SafeMode, by: &Principal) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.store.set_safe_mode(&wanted, &by.identity(), micros(Utc::now())).await?;
        tracing::info!(enabled = wanted.enabled, detail = wanted.detail, by = by.name, "safe mode was switched");
        self.turn_to(wanted);
        Ok(())
    }

    fn turn_to(&self, wanted: SafeMode) {
        let enabled = wanted.enabled;
        self.state.send_replace(wanted);
        if enabled { self.capacity.hold() } else { self.capacity.release() }
    }
}
