//! The handle on the database: how it is opened, and who may write when.

use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sea_orm::sqlx;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, MutexGuard};

use super::{ConnectError, StoreError};

/// Bytes of the SQLite file that are read where the kernel has them. A connection's own cache holds two megabytes, so
/// that counting along an index of a large workspace would copy all of it again each time.
const MAPPED: u64 = 1 << 30;

/// How long a statement waits for another process (a backup, a shell) that holds SQLite's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a query waits for a connection. Long enough for a new one, short enough for a caller.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle on the database; clones share its connections.
#[derive(Clone)]
pub struct Store {
    database: DatabaseConnection,
    /// What it commits is on the disk. One connection of SQLite, and of PostgreSQL the same as the others.
    durable: DatabaseConnection,
    writer: Arc<Mutex<()>>,
}

impl Store {
    /// Opens `sqlite://<path>` or `postgres://<user>@<host>/<database>`, with at most `pool` connections. A missing
    /// file is made; its directory must be there, and so must a PostgreSQL database.
    pub async fn connect(url: &str, pool: u32) -> Result<Self, ConnectError> {
        match url.split_once(':') {
            // Every connection to a memory database would have one of its own.
            Some(("sqlite", path)) if !path.contains(":memory:") && !path.contains("mode=memory") => {
                let database = open(sqlite_options(url, SqliteSynchronous::Normal), pool).await?;
                let durable = open(sqlite_options(url, SqliteSynchronous::Full), 1).await?;
                Ok(Self { database, durable, writer: Arc::default() })
            }
            Some(("postgres" | "postgresql", _)) => {
                let database = open(postgres_options(url), pool).await?;
                Ok(Self { durable: database.clone(), database, writer: Arc::default() })
            }
            _ => Err(ConnectError::UnsupportedUrl),
        }
    }

    /// The database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.ping().await?)
    }

    /// The connections of this moment.
    pub fn pool(&self) -> Pool {
        match self.dialect() {
            DbBackend::Postgres => Pool::of(self.database.get_postgres_connection_pool()),
            _ => Pool::of(self.database.get_sqlite_connection_pool()),
        }
    }

    /// Copies what is committed now to a SQLite file that is not there yet, while others read and write. Of PostgreSQL there
    /// is no such copy.
    pub async fn snapshot(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_str().ok_or_else(|| DbErr::Custom("the path is no text".to_owned()))?;
        let copy = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [file.into()]);
        self.database.execute_raw(copy).await?;
        Ok(())
    }

    /// Ends every connection, for this handle and its clones; SQLite then folds its journal into the file.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.durable.close_by_ref().await?;
        Ok(self.database.close_by_ref().await?)
    }

    pub(super) fn dialect(&self) -> DbBackend {
        self.database.get_database_backend()
    }

    pub(super) fn read(&self) -> &DatabaseConnection {
        &self.database
    }

    /// A transaction that only reads, and sees what was there when it read first. PostgreSQL keeps older
    /// rows meanwhile, and nobody waits.
    pub(super) async fn moment(&self) -> Result<DatabaseTransaction, DbErr> {
        match self.dialect() {
            DbBackend::Postgres => {
                let (level, access) = (IsolationLevel::RepeatableRead, AccessMode::ReadOnly);
                self.read().begin_with_config(Some(level), Some(access)).await
            }
            // Every transaction of SQLite is like that.
            _ => self.read().begin().await,
        }
    }

    /// For what is nowhere but here: once it is committed it survives the loss of power.
    ///
    /// SQLite has one writer at a time, and waits for it by polling, in no order. Waiting here is fair and quick.
    /// PostgreSQL has its own order.
    pub(super) async fn write(&self) -> Writer<'_> {
        self.turn(&self.durable).await
    }

    /// For what can be read again from a log: SQLite writes it to the disk with what is durable, or when it sees fit.
    pub(super) async fn write_relaxed(&self) -> Writer<'_> {
        self.turn(&self.database).await
    }

    async fn turn<'a>(&'a self, database: &'a DatabaseConnection) -> Writer<'a> {
        let turn = match self.dialect() {
            DbBackend::Sqlite => Some(self.writer.lock().await),
            _ => None,
        };
        Writer { _turn: turn, database }
    }
}

/// How many connections there are, how many of them do nothing, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub open: u32,
    pub idle: u32,
    pub max: u32,
}

impl Pool {
    fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self { open: pool.size(), idle, max: pool.options().get_max_connections() }
    }
}

/// The file of a SQLite database; none for another database.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite://")?.split('?').next()?;
    Some(PathBuf::from(OsString::from_vec(percent_decode_str(path).collect())))
}

async fn open(mut options: ConnectOptions, pool: u32) -> Result<DatabaseConnection, ConnectError> {
    options.max_connections(pool.max(1)).acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

fn sqlite_options(url: &str, synchronous: SqliteSynchronous) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("mmap_size", MAPPED.to_string())
    });
    options
}

/// TLS as the URL's `sslmode` says; `prefer` when it says nothing.
fn postgres_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.map_sqlx_postgres_opts(|postgres| postgres.application_name("ade"));
    options
}

/// The right to write, for as long as it is held.
pub(super) struct Writer<'a> {
    database: &'a DatabaseConnection,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl Writer<'_> {
    /// A transaction. On SQLite it takes the write lock at once: one that begins by reading and asks for it later
    /// cannot wait for it, and fails as soon as anyone else has written in between.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let immediate = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: immediate, ..TransactionOptions::default() };
        self.database.begin_with_options(options).await
    }
}

impl Deref for Writer<'_> {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        self.database
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::list::{Query, RUNS};
    use crate::domain::principal::Scope;
    use crate::domain::run::{Run, RunState};
    use crate::domain::status::RunStatus;
    use crate::store::fixture::{TestStore, at, configuration, run};
    use futures_util::future::try_join_all;

    async fn pragma(database: &DatabaseConnection, name: &str) -> String {
        let statement = Statement::from_string(
            sea_orm::DbBackend::Sqlite,
            format!("select cast({name} as text) as value from pragma_{name}"),
        );
        let row = database.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get("", "value").unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_set_up_for_a_service() {
        let store = TestStore::blank().await;
        store.ping().await.unwrap();
        if store.dialect() != DbBackend::Sqlite {
            return;
        }
        for (database, synchronous) in [(store.read(), "1"), (&*store.write().await, "2")] {
            assert_eq!(pragma(database, "journal_mode").await, "wal");
            assert_eq!(pragma(database, "synchronous").await, synchronous, "1 is normal, 2 is full");
            assert_eq!(pragma(database, "foreign_keys").await, "1");
        }
    }

    #[tokio::test]
    async fn a_snapshot_is_of_one_moment_and_replaces_nothing() {
        let (store, own) = TestStore::furnished().await;
        if store.dialect() != DbBackend::Sqlite {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        // A quote in a path is a character like any other.
        let file = folder.path().join("it's.db");
        store.insert(&run(&own), None).await.unwrap();
        store.snapshot(&file).await.unwrap();
        store.insert(&run(&own), None).await.unwrap();
        assert!(store.snapshot(&file).await.is_err());
        let copy = Store::connect(&format!("sqlite://{}", file.display()), 1).await.unwrap();
        let count =
            async |store: &Store| store.page::<Run>(&Scope::All, &Query::all(RUNS.order), 1, 10).await.unwrap().total;
        assert_eq!((count(&copy).await, count(&store).await), (1, 2));
    }

    #[test]
    fn the_file_of_an_address_is_found_whatever_its_name() {
        for (url, file) in [
            ("sqlite:///data/ade.db", Some("/data/ade.db")),
            ("sqlite:///a%20b/c%3f.db?mode=rwc", Some("/a b/c?.db")),
            ("postgres://me@host/ade", None),
        ] {
            assert_eq!(sqlite_file(url), file.map(PathBuf::from), "{url}");
        }
    }

    #[tokio::test]
    async fn other_databases_and_missing_files_are_refused() {
        for url in ["mysql://localhost/ade", "sqlite::memory:", "sqlite://x?mode=memory", "ade.db"] {
            assert!(matches!(Store::connect(url, 1).await, Err(ConnectError::UnsupportedUrl)), "{url}");
        }
        let missing = Store::connect("sqlite:///nonexistent/ade.db?mode=rwc", 1).await;
        assert!(matches!(missing, Err(ConnectError::Database(_))));
    }

    /// Two handles, so that half of the writers do not wait for each other in memory: SQLite's own lock must do.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_writers_at_once_all_get_their_turn() {
        let (store, own) = TestStore::furnished().await;
        let other_process = store.another_handle().await;
        let rival = configuration(own.workspace_id);
        store.insert_configuration(&rival).await.unwrap();
        let writers = (0..20).map(|n| {
            let store = if n % 2 == 0 { (*store).clone() } else { other_process.clone() };
            let (own, rival) = (own.clone(), rival.id);
            tokio::spawn(async move {
                let running = RunState { status: RunStatus::Running, ..RunState::default() };
                for sequence in 1..=10 {
                    let run = run(&own);
                    store.insert(&run, None).await.unwrap();
                    store.save_state::<Run>(own.workspace_id, run.id, &running, sequence).await?;
                    let favourite = if n % 2 == 0 { own.id } else { rival };
                    store.activate(own.workspace_id, favourite, None, at(n)).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        for written in try_join_all(writers).await.unwrap() {
            written.unwrap();
        }
        let listed = store.page::<Run>(&Scope::All, &Query::all(RUNS.order), 1, 200).await.unwrap();
        assert_eq!(listed.total, 200);
        assert!(listed.items.iter().all(|run| run.state.status == RunStatus::Running));
    }
}
