//! What a table must say of itself so that its rows can be found, listed and filtered.

use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{EntityTrait, IntoSimpleExpr, Select};

use super::StoreError;
use crate::domain::list::{Field, Kind};

/// A record whose rows can be listed.
pub trait Listable: Sized {
    type Entity: EntityTrait<Model: Send + Sync>;

    /// The row's workspace: what a scope limits.
    fn workspace_column() -> <Self::Entity as EntityTrait>::Column;

    fn configuration_id() -> Option<<Self::Entity as EntityTrait>::Column> {
        None
    }

    fn document_id() -> Option<<Self::Entity as EntityTrait>::Column> {
        None
    }

    /// When the row was deleted, of a table that keeps such rows: they are neither found nor listed.
    fn deleted_at() -> Option<<Self::Entity as EntityTrait>::Column> {
        None
    }

    /// What a list reads of each row.
    fn select() -> Select<Self::Entity> {
        Self::Entity::find()
    }

    /// Where the values of a field are; mostly in the column of the same name.
    fn source(field: Field) -> Source {
        column_source::<Self>(field)
    }

    /// The texts that words are searched in.
    fn searched() -> Vec<Source>;

    fn record(row: <Self::Entity as EntityTrait>::Model) -> Result<Self, StoreError>;
}

/// Where the values of a field are.
pub enum Source {
    /// One value, or null.
    Column(Expr),
    /// A column of true and false.
    Flag(Expr),
    /// Any number of values: `rows` names their owners, `value` is in its tables.
    Many { owner: Expr, rows: Box<SelectStatement>, value: Expr },
}

/// Columns with one value each.
pub fn columns<C: IntoSimpleExpr, const N: usize>(columns: [C; N]) -> Vec<Source> {
    columns.into_iter().map(|column| Source::Column(column.into_simple_expr())).collect()
}

pub fn column_source<R: Listable>(field: Field) -> Source {
    match field.kind() {
        Kind::Flag => Source::Flag(sorted::<R>(field)),
        _ => Source::Column(sorted::<R>(field)),
    }
}

/// The column that has a field's name.
pub fn column_of<R: Listable>(field: Field) -> <R::Entity as EntityTrait>::Column {
    let column = field.as_str().parse();
    column.unwrap_or_else(|_| unreachable!("a schema offers {field}, which its table has not"))
}

pub fn sorted<R: Listable>(field: Field) -> Expr {
    column_of::<R>(field).into_simple_expr()
}
