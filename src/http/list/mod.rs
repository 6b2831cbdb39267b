//! Lists: what a query string asks for, and the page that answers it.
//!
//! Law: every list of the service is read and answered here, so that all of them know the same parameters.

mod filters;
mod parameters;
mod token;

use actix_web::HttpResponse;
use serde_json::{Value, json};

pub use parameters::{ListRequest, Part};

use super::problem::Problem;
use super::query::RawQuery;
use crate::domain::list::{Schema, Within};
use crate::domain::principal::Scope;
use crate::store::{Listable, Store, StoreError};

/// Answers one list request with the records that the caller may see.
pub async fn respond<R: Listable>(
    store: &Store,
    scope: &Scope,
    schema: &Schema,
    within: Within,
    query: RawQuery,
    resource: impl Fn(&R) -> Value,
) -> Result<HttpResponse, Problem> {
    respond_refreshed(store, scope, schema, within, query, async |_: &mut [R]| Ok(()), resource).await
}

/// As [`respond`], of records that are brought up to date before they are shown.
pub async fn respond_refreshed<R: Listable>(
    store: &Store,
    scope: &Scope,
    schema: &Schema,
    within: Within,
    query: RawQuery,
    refresh: impl AsyncFn(&mut [R]) -> Result<(), StoreError>,
    resource: impl Fn(&R) -> Value,
) -> Result<HttpResponse, Problem> {
    let ListRequest { query, part, per_page } = ListRequest::read(query, schema, within)?;
    let answer = match part {
        Part::Page(page) => {
            let mut listed = store.page::<R>(scope, &query, page, per_page).await?;
            refresh(&mut listed.items).await?;
            json!({
                "items": listed.items.iter().map(resource).collect::<Vec<_>>(),
                "page": page, "perPage": per_page,
                "pageCount": listed.total.div_ceil(per_page), "total": listed.total,
            })
        }
        Part::After(place) => {
            let mut slice = store.slice::<R>(scope, &query, place.as_ref(), per_page).await?;
            refresh(&mut slice.items).await?;
            json!({
                "items": slice.items.iter().map(resource).collect::<Vec<_>>(),
                "next_cursor": slice.next.map(|place| token::write(schema, &query, &place)),
            })
        }
    };
    Ok(HttpResponse::Ok().json(answer))
}
