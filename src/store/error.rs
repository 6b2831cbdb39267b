//! What can go wrong. The database's own words stay in the source, for the log; no caller ever needs them.

use sea_orm::DbErr;

/// A query or a write failed, or a row holds what this binary cannot read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[from] DbErr),
    #[error("row {id} of table {table} has an unreadable {column}")]
    Unreadable { table: &'static str, id: String, column: &'static str },
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the database address is neither sqlite://<path> nor postgres://<user>@<host>/<database>")]
    UnsupportedUrl,
    #[error("the database cannot be opened")]
    Database(#[from] DbErr),
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the schema had migration {name}, which this version cannot work with: use a newer version")]
    Breaking { name: String },
    /// It has what this binary does not know and lacks what this binary needs, so no order of the two is known.
    #[error(
        "the schema has the unknown migration {unknown} but lacks {pending}: it belongs to another line of versions"
    )]
    Diverged { unknown: String, pending: String },
    #[error("the schema is newer than this version, which does not know how to take back {name}")]
    Newer { name: String },
    #[error("the database failed")]
    Database(#[from] DbErr),
}
