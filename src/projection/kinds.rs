//! The fold of each kind of work.

use std::borrow::Cow;

use super::{Fold, Projected};
use crate::domain::build::{Build, BuildState};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::run::{Run, RunState};
use crate::store::{Store, StoreError};
use crate::summary::{BuildFold, ExecutionFold, Fact, LedgerFold, RunFold};

impl Projected for Run {
    type Fold = Box<RunFold>;

    fn fold(&self) -> Self::Fold {
        Box::new(RunFold::new(self.id, self.workspace_id, self.configuration_id))
    }
}

impl Fold<Run> for Box<RunFold> {
    fn is_relevant(kind: &[u8]) -> bool {
        RunFold::is_relevant(kind)
    }

    /// The tables that an engine reports are counted, and saved with the next status.
    fn changes_status(kind: &[u8]) -> bool {
        RunFold::changes_status(kind)
    }

    fn apply(&mut self, fact: Fact<'_>) {
        RunFold::apply(self, fact);
    }

    fn state(&self) -> Cow<'_, RunState> {
        Cow::Borrowed(RunFold::state(self))
    }
}

impl Projected for Build {
    type Fold = BuildFold;

    fn fold(&self) -> BuildFold {
        BuildFold::default()
    }
}

impl Fold<Build> for BuildFold {
    fn is_relevant(kind: &[u8]) -> bool {
        BuildFold::is_relevant(kind)
    }

    fn apply(&mut self, fact: Fact<'_>) {
        self.apply(fact);
    }

    fn state(&self) -> Cow<'_, BuildState> {
        Cow::Borrowed(self.state())
    }
}

/// An execution's progress, and the rows of the cost ledger that its calls make.
pub struct ExecutionProjection {
    fold: Box<ExecutionFold>,
    ledger: LedgerFold,
}

impl Projected for Execution {
    type Fold = ExecutionProjection;

    fn fold(&self) -> ExecutionProjection {
        ExecutionProjection { fold: Box::default(), ledger: LedgerFold::new(self.workspace_id, self.id) }
    }
}

impl Fold<Execution> for ExecutionProjection {
    fn is_relevant(kind: &[u8]) -> bool {
        ExecutionFold::is_relevant(kind)
    }

    fn apply(&mut self, fact: Fact<'_>) {
        self.fold.apply(fact);
        self.ledger.apply(fact);
    }

    fn state(&self) -> Cow<'_, ExecutionState> {
        Cow::Owned(ExecutionState::from(self.fold.progress()))
    }

    /// A reader of the end finds its costs.
    async fn save_first(&mut self, store: &Store) -> Result<(), StoreError> {
        store.insert_llm_calls(self.ledger.rows()).await?;
        self.ledger.written();
        Ok(())
    }
}
