//! Filters into SQL: the one place where what a query of the domain means is said to a database.

use sea_orm::sea_query::{Condition, Expr, ExprTrait, Func, LikeExpr, SelectStatement};
use sea_orm::{DbBackend, Value as SqlValue};

use super::listable::{Listable, Source};
use crate::domain::list::{Comparison, Filter, Pattern, Test, Value};

pub fn condition<R: Listable>(filter: &Filter, dialect: DbBackend) -> Condition {
    let each = |parts: &[Filter], start| {
        parts.iter().fold(start, |all: Condition, part| all.add(condition::<R>(part, dialect)))
    };
    match filter {
        Filter::All(parts) => each(parts, Condition::all()),
        Filter::Any(parts) => each(parts, Condition::any()),
        Filter::Test(field, test) => tested(R::source(*field), test, dialect),
        Filter::Word(word) => {
            let test = Test::Like(Pattern::containing(word));
            let sources = R::searched().into_iter();
            sources.fold(Condition::any(), |any, source| any.add(tested(source, &test, dialect)))
        }
    }
}

fn tested(source: Source, test: &Test, dialect: DbBackend) -> Condition {
    match source {
        Source::Column(column) => Condition::all().add(of_value(column, test, dialect)),
        Source::Flag(flag) => of_flag(flag, test),
        Source::Many { owner, rows, value } => of_many(&owner, &rows, value, test, dialect),
    }
}

/// What is null satisfies none of these but `Empty`: SQL sees to that.
fn of_value(column: Expr, test: &Test, dialect: DbBackend) -> Expr {
    match test {
        Test::Compare(how, value) => compared(column, *how, sql(value)),
        Test::In(values) => column.is_in(values.iter().map(sql)),
        Test::NotIn(values) => column.is_not_in(values.iter().map(sql)),
        Test::Like(pattern) => folded(column, dialect).like(like(pattern)),
        Test::NotLike(pattern) => folded(column, dialect).not_like(like(pattern)),
        Test::Between(low, high) => column.between(sql(low), sql(high)),
        Test::Empty => column.is_null(),
        Test::NotEmpty => column.is_not_null(),
    }
}

fn compared(column: Expr, how: Comparison, value: SqlValue) -> Expr {
    match how {
        Comparison::Eq => column.eq(value),
        Comparison::Ne => column.ne(value),
        Comparison::Lt => column.lt(value),
        Comparison::Lte => column.lte(value),
        Comparison::Gt => column.gt(value),
        Comparison::Gte => column.gte(value),
    }
}

/// A flag is only ever asked whether it is this or is not.
fn of_flag(flag: Expr, test: &Test) -> Condition {
    let holds = matches!(
        test,
        Test::Compare(Comparison::Eq, Value::Flag(true)) | Test::Compare(Comparison::Ne, Value::Flag(false))
    );
    Condition::all().add(flag.eq(holds))
}

fn of_many(owner: &Expr, rows: &SelectStatement, value: Expr, test: &Test, dialect: DbBackend) -> Condition {
    let any_with = |test: &Test| rows.clone().and_where(of_value(value.clone(), test, dialect)).take();
    let has = |rows: SelectStatement| owner.clone().in_subquery(rows);
    let none_of_some =
        |test: &Test| Condition::all().add(has(rows.clone())).add(owner.clone().not_in_subquery(any_with(test)));
    match test {
        Test::Compare(Comparison::Ne, value) => none_of_some(&Test::Compare(Comparison::Eq, value.clone())),
        Test::NotIn(values) => none_of_some(&Test::In(values.clone())),
        Test::NotLike(pattern) => none_of_some(&Test::Like(pattern.clone())),
        Test::Empty => Condition::all().add(owner.clone().not_in_subquery(rows.clone())),
        Test::NotEmpty => Condition::all().add(has(rows.clone())),
        Test::Compare(..) | Test::In(_) | Test::Like(_) | Test::Between(..) => {
            Condition::all().add(has(any_with(test)))
        }
    }
}

/// With ASCII letters in lower case and all others as they are, in every locale.
fn folded(text: Expr, dialect: DbBackend) -> Expr {
    match dialect {
        DbBackend::Postgres => Expr::cust_with_expr(r#"LOWER($1 COLLATE "C")"#, text),
        _ => Func::lower(text).into(),
    }
}

fn like(pattern: &Pattern) -> LikeExpr {
    LikeExpr::new(pattern.to_like()).escape('\\')
}

pub fn sql(value: &Value) -> SqlValue {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Time(time) => (*time).into(),
        Value::Flag(flag) => (*flag).into(),
    }
}
