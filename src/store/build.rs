//! Builds: the request and the venv as columns, the state as its log has it.

use entity::build::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Select, Set};

use super::cells::{Cells, storable, stored};
use super::listable::Listable;
use super::listable::{Source, columns};
use super::rows::{InsertError, StoredWork};
use super::{Store, StoreError, deletion};
use crate::domain::build::{Build, BuildError, BuildInputs, BuildReason, BuildState};
use crate::domain::failure::BuildErrorCode;
use crate::domain::status::{BuildStatus, LogState};
use crate::domain::time::micros;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};

impl Store {
    /// Whether its venv is there, also for the builds that point at it. False when there is no such build.
    pub async fn set_venv_present(
        &self,
        workspace_id: WorkspaceId,
        id: BuildId,
        present: bool,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel { venv_present: Set(present), ..ActiveModel::default() };
        let id = id.to_string();
        let those = Condition::any().add(Column::Id.eq(&id)).add(Column::ReusedBuildId.eq(&id));
        let update = Entity::update_many().filter(those).filter(Column::WorkspaceId.eq(workspace_id.to_string()));
        let updated = update.set(change).exec(&*self.write().await).await?;
        Ok(updated.rows_affected > 0)
    }

    /// The active builds made from these inputs whose venvs were there when last looked at, newest first. One that
    /// only points to another has no venv of its own and is left out.
    pub async fn active_builds(
        &self,
        workspace_id: WorkspaceId,
        configuration_id: ConfigurationId,
        fingerprint: &str,
    ) -> Result<Vec<Build>, StoreError> {
        let select = of_configuration(workspace_id, configuration_id)
            .filter(Column::Fingerprint.eq(fingerprint))
            .filter(Column::Status.eq(BuildStatus::Active.as_str()))
            .filter(Column::ReusedBuildId.is_null())
            .filter(Column::VenvPresent.eq(true));
        let newest = select.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
        newest.all(self.read()).await?.into_iter().map(record).collect()
    }

    /// Those of these builds that have rows, and all others of the configuration whose venvs were there when last
    /// looked at. What only points to another has no venv of its own and is left out.
    pub async fn builds_with_venvs(
        &self,
        workspace_id: WorkspaceId,
        configuration_id: ConfigurationId,
        among: &[BuildId],
    ) -> Result<Vec<Build>, StoreError> {
        let named = Column::Id.is_in(among.iter().map(BuildId::to_string));
        let those = Condition::any().add(named).add(Column::VenvPresent.eq(true));
        let select =
            of_configuration(workspace_id, configuration_id).filter(those).filter(Column::ReusedBuildId.is_null());
        let rows = select.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(self.read()).await?;
        rows.into_iter().map(record).collect()
    }
}

fn of_configuration(workspace_id: WorkspaceId, configuration_id: ConfigurationId) -> Select<Entity> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
        .filter(Column::ConfigurationId.eq(configuration_id.to_string()))
}

impl Listable for Build {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn configuration_id() -> Option<Column> {
        Some(Column::ConfigurationId)
    }

    fn searched() -> Vec<Source> {
        columns([Column::Id, Column::Status, Column::Summary, Column::ErrorMessage])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

impl StoredWork for Build {
    /// The last thing that a build which becomes active has made is its venv; one that ends otherwise leaves none.
    fn state_columns(state: &BuildState) -> ActiveModel {
        let mut columns = state_columns(state);
        if state.status.is_terminal() {
            columns.venv_present = Set(state.status == BuildStatus::Active);
        }
        columns
    }

    /// Only while its configuration is there.
    async fn insert(&self, transaction: &DatabaseTransaction) -> Result<(), InsertError> {
        deletion::hold_configuration(transaction, self.workspace_id, self.configuration_id).await?;
        Entity::insert(storable(row(self))).exec_without_returning(transaction).await?;
        Ok(())
    }
}

fn row(build: &Build) -> ActiveModel {
    let inputs = &build.inputs;
    ActiveModel {
        id: Set(build.id.to_string()),
        workspace_id: Set(build.workspace_id.to_string()),
        configuration_id: Set(build.configuration_id.to_string()),
        reason: Set(build.reason.as_str().into()),
        fingerprint: Set(inputs.fingerprint.clone()),
        content_digest: Set(inputs.content_digest.clone()),
        engine_spec: Set(inputs.engine_spec.clone()),
        engine_version_hint: Set(inputs.engine_version_hint.clone()),
        python_interpreter: Set(inputs.python_interpreter.clone()),
        reused_build_id: Set(build.reused_build_id.map(|id| id.to_string())),
        node_id: Set(build.node_id.to_string()),
        created_at: Set(micros(build.created_at)),
        venv_present: Set(build.venv_present),
        log_degraded: Set(build.log_degraded),
        durable_bytes: Set(build.durable_bytes.map(stored)),
        log_state: Set(build.log_state.as_str().into()),
        last_sequence: Set(stored(build.last_sequence)),
        ..state_columns(&build.state)
    }
}

fn state_columns(state: &BuildState) -> ActiveModel {
    let error = state.error.as_ref();
    ActiveModel {
        status: Set(state.status.as_str().into()),
        engine_version: Set(state.engine_version.clone()),
        python_version: Set(state.python_version.clone()),
        config_version: Set(state.config_version.clone()),
        started_at: Set(state.started_at.map(micros)),
        completed_at: Set(state.completed_at.map(micros)),
        exit_code: Set(state.exit_code),
        summary: Set(state.summary.clone()),
        error_code: Set(error.map(|error| error.code.as_str().into())),
        error_message: Set(error.map(|error| error.message.clone())),
        ..ActiveModel::default()
    }
}

fn record(row: Model) -> Result<Build, StoreError> {
    let cells = Cells { table: "builds", id: &row.id };
    Ok(Build {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        configuration_id: cells.id("configuration_id", &row.configuration_id)?,
        reason: cells.word("reason", BuildReason::parse, &row.reason)?,
        reused_build_id: cells.id_option("reused_build_id", row.reused_build_id.as_deref())?,
        node_id: cells.id("node_id", &row.node_id)?,
        created_at: row.created_at,
        venv_present: row.venv_present,
        log_degraded: row.log_degraded,
        durable_bytes: cells.count_option("durable_bytes", row.durable_bytes)?,
        log_state: cells.word("log_state", LogState::parse, &row.log_state)?,
        last_sequence: cells.count("last_sequence", row.last_sequence)?,
        state: state(&cells, &row)?,
        inputs: BuildInputs {
            fingerprint: row.fingerprint,
            content_digest: row.content_digest,
            engine_spec: row.engine_spec,
            engine_version_hint: row.engine_version_hint,
            python_interpreter: row.python_interpreter,
        },
    })
}

fn state(cells: &Cells<'_>, row: &Model) -> Result<BuildState, StoreError> {
    Ok(BuildState {
        status: cells.word("status", BuildStatus::parse, &row.status)?,
        engine_version: row.engine_version.clone(),
        python_version: row.python_version.clone(),
        config_version: row.config_version.clone(),
        started_at: row.started_at,
        completed_at: row.completed_at,
        exit_code: row.exit_code,
        summary: row.summary.clone(),
        error: error(cells, row)?,
    })
}

fn error(cells: &Cells<'_>, row: &Model) -> Result<Option<BuildError>, StoreError> {
    let Some(code) = &row.error_code else { return Ok(None) };
    let code = cells.word("error_code", BuildErrorCode::parse, code)?;
    let message = row.error_message.clone().ok_or_else(|| cells.unreadable("error_message"))?;
    Ok(Some(BuildError { code, message }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::NodeId;
    use crate::domain::list::{BUILDS, Query, Within};
    use crate::domain::principal::Scope;
    use crate::store::Listed;
    use crate::store::Store;
    use crate::store::fixture::{TestStore, at, build};

    fn full_state(status: BuildStatus) -> BuildState {
        BuildState {
            status,
            engine_version: Some("1.2".into()),
            python_version: Some("3.12.1".into()),
            config_version: Some("0.1".into()),
            started_at: Some(at(30)),
            completed_at: Some(at(40)),
            exit_code: Some(-9),
            summary: Some("done".into()),
            error: Some(BuildError { code: BuildErrorCode::BuildTimeout, message: "too slow".into() }),
        }
    }

    async fn found(store: &Store, id: BuildId) -> Build {
        store.find::<Build>(&Scope::All, id).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_build_comes_back_whole() {
        let (store, configuration) = TestStore::furnished().await;
        let sparse = build(&configuration);
        let mut full = Build {
            reason: BuildReason::CacheMiss,
            reused_build_id: Some(sparse.id),
            venv_present: true,
            log_degraded: true,
            durable_bytes: Some(77),
            last_sequence: 9,
            state: full_state(BuildStatus::Failed),
            ..build(&configuration)
        };
        full.inputs.engine_version_hint = Some("1.2".into());
        for build in [&sparse, &full] {
            store.insert(build, None).await.unwrap();
            assert_eq!(found(&store, build.id).await, *build);
        }
    }

    #[tokio::test]
    async fn a_foreign_build_is_neither_seen_nor_changed() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await.workspace_id;
        let build = build(&own);
        store.insert(&build, None).await.unwrap();
        let scope = Scope::Only(vec![foreign]);
        assert_eq!(store.find::<Build>(&scope, build.id).await.unwrap(), None);
        let listed = store.page::<Build>(&scope, &Query::all(BUILDS.order), 1, 50).await.unwrap();
        assert_eq!(listed, Listed { items: vec![], total: 0 });
        let state = full_state(BuildStatus::Active);
        assert!(!store.save_state::<Build>(foreign, build.id, &state, 5).await.unwrap());
        assert!(!store.set_venv_present(foreign, build.id, true).await.unwrap());
        assert!(!store.set_degraded::<Build>(foreign, build.id, Some(1)).await.unwrap());
        assert!(!store.set_degraded::<Build>(foreign, build.id, None).await.unwrap());
        assert!(!store.delete::<Build>(foreign, build.id).await.unwrap());
        assert_eq!(found(&store, build.id).await, build);
        assert!(store.delete::<Build>(build.workspace_id, build.id).await.unwrap());
        assert_eq!(store.find::<Build>(&Scope::All, build.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn state_only_moves_forward() {
        let (store, configuration) = TestStore::furnished().await;
        let build = build(&configuration);
        store.insert(&build, None).await.unwrap();
        let (of, id) = (build.workspace_id, build.id);
        let building = BuildState { status: BuildStatus::Building, ..BuildState::default() };
        let active = full_state(BuildStatus::Active);

        assert!(store.save_state::<Build>(of, id, &building, 2).await.unwrap());
        assert!(store.save_state::<Build>(of, id, &active, 7).await.unwrap());
        assert!(!store.save_state::<Build>(of, id, &active, 7).await.unwrap(), "again");
        assert!(!store.save_state::<Build>(of, id, &building, 3).await.unwrap(), "late");
        assert_eq!(found(&store, id).await, Build { state: active, last_sequence: 7, venv_present: true, ..build });
    }

    #[tokio::test]
    async fn degraded_and_venv_are_set_beside_the_state() {
        let (store, configuration) = TestStore::furnished().await;
        let build = build(&configuration);
        store.insert(&build, None).await.unwrap();
        assert!(store.set_venv_present(build.workspace_id, build.id, true).await.unwrap());
        assert!(store.set_degraded::<Build>(build.workspace_id, build.id, Some(12)).await.unwrap());
        let expected = Build { venv_present: true, log_degraded: true, durable_bytes: Some(12), ..build.clone() };
        assert_eq!(found(&store, build.id).await, expected);
        assert_eq!(store.degraded::<Build>(build.node_id).await.unwrap(), [], "it is still running");
        let active = full_state(BuildStatus::Active);
        store.save_state::<Build>(build.workspace_id, build.id, &active, 7).await.unwrap();
        assert_eq!(store.degraded::<Build>(build.node_id).await.unwrap(), [found(&store, build.id).await]);
        assert_eq!(store.degraded::<Build>(NodeId::generate()).await.unwrap(), []);
        assert!(store.set_degraded::<Build>(build.workspace_id, build.id, None).await.unwrap());
        assert_eq!(store.degraded::<Build>(build.node_id).await.unwrap(), []);
        assert_eq!(found(&store, build.id).await.durable_bytes, None);
    }

    #[tokio::test]
    async fn the_active_builds_of_a_fingerprint_come_newest_first() {
        let (store, configuration) = TestStore::furnished().await;
        let made = |micros, status, edit: fn(&mut Build)| {
            let state = BuildState { status, ..BuildState::default() };
            let mut made = Build { created_at: at(micros), state, venv_present: true, ..build(&configuration) };
            edit(&mut made);
            made
        };
        let [older, newest] = [10, 20].map(|micros| made(micros, BuildStatus::Active, |_| {}));
        let others = [
            made(30, BuildStatus::Failed, |_| {}),
            made(40, BuildStatus::Building, |_| {}),
            made(50, BuildStatus::Active, |build| build.reused_build_id = Some(BuildId::generate())),
            made(60, BuildStatus::Active, |build| build.inputs.fingerprint = "f2".into()),
            made(70, BuildStatus::Active, |build| build.venv_present = false),
        ];
        for build in others.iter().chain([&newest, &older]) {
            store.insert(build, None).await.unwrap();
        }
        let (of, id) = (configuration.workspace_id, configuration.id);
        assert_eq!(store.active_builds(of, id, "f1").await.unwrap(), [newest, older]);
        assert_eq!(store.active_builds(of, id, "f3").await.unwrap(), []);
        assert_eq!(store.active_builds(WorkspaceId::generate(), id, "f1").await.unwrap(), []);
    }

    #[tokio::test]
    async fn builds_with_venvs_are_those_that_have_one_and_those_that_are_named() {
        let (store, configuration) = TestStore::furnished().await;
        let [present, named, absent] = [(10, true), (20, false), (30, false)].map(|(micros, venv_present)| Build {
            created_at: at(micros),
            venv_present,
            ..build(&configuration)
        });
        let pointing = Build { reused_build_id: Some(present.id), venv_present: true, ..build(&configuration) };
        for build in [&absent, &pointing, &named, &present] {
            store.insert(build, None).await.unwrap();
        }
        let (of, id) = (configuration.workspace_id, configuration.id);
        let among = [named.id, pointing.id, BuildId::generate()];
        assert_eq!(store.builds_with_venvs(of, id, &among).await.unwrap(), [present, named]);
        assert_eq!(store.builds_with_venvs(WorkspaceId::generate(), id, &among).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_venv_that_goes_goes_for_those_who_point_at_it_too() {
        let (store, configuration) = TestStore::furnished().await;
        let [own, other] = [(), ()].map(|()| Build { venv_present: true, ..build(&configuration) });
        let pointing = Build { reused_build_id: Some(own.id), venv_present: true, ..build(&configuration) };
        for build in [&own, &other, &pointing] {
            store.insert(build, None).await.unwrap();
        }
        assert!(store.set_venv_present(own.workspace_id, own.id, false).await.unwrap());
        for (id, present) in [(own.id, false), (pointing.id, false), (other.id, true)] {
            assert_eq!(found(&store, id).await.venv_present, present);
        }
    }

    #[tokio::test]
    async fn unfinished_builds_are_those_of_the_node_that_have_not_ended() {
        let (store, configuration) = TestStore::furnished().await;
        let node_id = NodeId::generate();
        for (micros, &status) in BuildStatus::ALL.iter().enumerate() {
            let state = BuildState { status, ..BuildState::default() };
            let build = Build { node_id, created_at: at(micros as i64), state, ..build(&configuration) };
            store.insert(&build, None).await.unwrap();
        }
        store.insert(&build(&configuration), None).await.unwrap();
        let open = store.unfinished::<Build>(node_id).await.unwrap();
        let statuses: Vec<_> = open.iter().map(|build| build.state.status).collect();
        assert_eq!(statuses, [BuildStatus::Queued, BuildStatus::Building]);
    }

    #[tokio::test]
    async fn a_list_is_limited_to_its_branch() {
        let (store, one) = TestStore::furnished().await;
        let two = store.furnish("other").await;
        let failed = Build { state: full_state(BuildStatus::Failed), ..build(&two) };
        for build in [&build(&one), &build(&two), &failed] {
            store.insert(build, None).await.unwrap();
        }
        let total = async |within: Within| {
            let query = Query { within, ..Query::all(BUILDS.order) };
            store.page::<Build>(&Scope::All, &query, 1, 1).await.unwrap().total
        };
        assert_eq!(total(Within::default()).await, 3);
        assert_eq!(total(Within { workspace_id: Some(two.workspace_id), ..Within::default() }).await, 2);
        assert_eq!(total(Within { configuration_id: Some(one.id), ..Within::default() }).await, 1);
    }
}
