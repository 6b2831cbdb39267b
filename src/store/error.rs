//! What can go wrong. The database's own words stay in the source, for the log; no caller ever needs them.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// A query or a write failed, or a row holds what this binary cannot read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[from] DbErr),
    #[error("row {id} of table {table} has an unreadable {column}")]
    Unreadable { table: &'static str, id: String, column: &'static str },
}

impl StoreError {
    /// Whether the database did not answer, or not in time, rather than refuse: the same may succeed later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            Self::Database(DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) => {
                is_unreachable(error)
            }
            Self::Database(_) | Self::Unreadable { .. } => false,
        }
    }
}

fn is_unreachable(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        Database(error) => error.code().is_some_and(|code| is_of_availability(&code)),
        _ => false,
    }
}

/// SQLite: busy or locked, with or without more detail. PostgreSQL: failing connections, missing resources, shutdown.
fn is_of_availability(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6),
        _ => ["08", "53", "57P"].iter().any(|class| code.starts_with(class)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_a_database_that_is_away_are_told_from_those_of_one_that_refuses() {
        for away in ["5", "6", "261", "517", "08006", "53300", "57P01"] {
            assert!(is_of_availability(away), "{away}");
        }
        for refused in ["1", "19", "2067", "23505", "42P01", "57014"] {
            assert!(!is_of_availability(refused), "{refused}");
        }
    }
}
