//! A database of its own for each test: a file, or, when `ADE_TEST_DATABASE_URL` names a PostgreSQL database, a schema
//! in that one. It goes when the test does.

use sea_orm::ConnectionTrait;

#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File { _folder: tempfile::TempDir },
    Schema { name: String, server: String },
}

impl TestDatabase {
    pub fn create() -> Self {
        Self::on_named_server().unwrap_or_else(Self::file)
    }

    /// On PostgreSQL; none, loudly, where none is named. With `ADE_TEST_NODES=required` that is a failure.
    pub fn on_server() -> Option<Self> {
        let database = Self::on_named_server();
        if database.is_none() {
            assert!(std::env::var_os("ADE_TEST_NODES").is_none(), "ADE_TEST_DATABASE_URL names no PostgreSQL");
            eprintln!("SKIPPED: ADE_TEST_DATABASE_URL names no PostgreSQL (tests/postgres.sh start)");
        }
        database
    }

    fn on_named_server() -> Option<Self> {
        let server = std::env::var("ADE_TEST_DATABASE_URL").ok()?;
        let name = format!("ade_test_{}", ulid::Ulid::generate().to_string().to_lowercase());
        execute(&server, format!("CREATE SCHEMA {name}"));
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options[search_path]={name}");
        Some(Self { url, place: Place::Schema { name, server } })
    }

    fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("ade.db").display());
        Self { url, place: Place::File { _folder: folder } }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement beside whoever uses the database.
    pub fn execute(&self, sql: &str) {
        execute(&self.url, sql.to_owned());
    }
}

/// Nobody else can write until it is dropped.
pub struct Locked {
    release: Option<std::sync::mpsc::Sender<()>>,
    holder: Option<std::thread::JoinHandle<()>>,
}

impl TestDatabase {
    /// Of SQLite only.
    pub fn lock(&self) -> Locked {
        let (url, (release, released), (tell, locked)) =
            (self.url.clone(), std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel());
        let holder = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut options = sea_orm::ConnectOptions::new(url);
                options.max_connections(1);
                let database = sea_orm::Database::connect(options).await.unwrap();
                database.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
                tell.send(()).unwrap();
                let _ = released.recv();
                database.execute_unprepared("ROLLBACK").await.unwrap();
                database.close().await.unwrap();
            });
        });
        locked.recv().expect("the lock is taken");
        Locked { release: Some(release), holder: Some(holder) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.release.take());
        let _ = self.holder.take().map(std::thread::JoinHandle::join);
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Place::Schema { name, server } = &self.place {
            // A transaction that was given up rolls back when its runtime comes to it, which waits for this: it would keep
            // its tables for ever.
            let holders = format!(
                "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT locks.pid FROM pg_locks AS locks \
                 JOIN pg_class ON pg_class.oid = locks.relation JOIN pg_namespace ON pg_namespace.oid = relnamespace \
                 WHERE nspname = '{name}' AND locks.pid <> pg_backend_pid()) AS holders"
            );
            execute(server, holders);
            execute(server, format!("DROP SCHEMA {name} CASCADE"));
        }
    }
}

/// On a thread of its own: whoever calls may have a runtime already.
fn execute(url: &str, sql: String) {
    let url = url.to_owned();
    let executed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = sea_orm::Database::connect(&url).await.unwrap();
            database.execute_unprepared(&sql).await.unwrap();
            database.close().await.unwrap();
        });
    });
    executed.join().unwrap();
}
