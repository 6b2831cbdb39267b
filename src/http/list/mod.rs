//! Lists: what a query string asks for, and the page that answers it.
//!
//! Invariant: every list of the service is read and answered here, so that all of them know the same parameters.

mod filters;
mod parameters;
mod token;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

use actix_web::HttpResponse;
use serde::Serialize;

pub use parameters::{ListRequest, Part};

use super::problem::Problem;
use super::query::RawQuery;
use super::resource::AsResource;
use crate::domain::list::{Schema, Within};
use crate::domain::principal::Scope;
use crate::store::{Listable, Store, StoreError};

/// A page by its number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageResource<R> {
    items: Vec<R>,
    page: u64,
    per_page: u64,
    page_count: u64,
    total: u64,
}

/// What comes after a place.
#[derive(Serialize)]
struct SliceResource<R> {
    items: Vec<R>,
    next_cursor: Option<String>,
}

/// Answers one list request with the records that the caller may see.
pub async fn respond<R: Listable + AsResource>(
    store: &Store,
    scope: &Scope,
    schema: &Schema,
    within: Within,
    query: RawQuery,
) -> Result<HttpResponse, Problem> {
    respond_refreshed(store, scope, schema, within, query, async |_: &mut [R]| Ok(())).await
}

/// As [`respond`], of records that are brought up to date before they are shown.
pub async fn respond_refreshed<R: Listable + AsResource>(
    store: &Store,
    scope: &Scope,
    schema: &Schema,
    within: Within,
    query: RawQuery,
    refresh: impl AsyncFn(&mut [R]) -> Result<(), StoreError>,
) -> Result<HttpResponse, Problem> {
    let ListRequest { query, part, per_page } = ListRequest::read(query, schema, within)?;
    Ok(match part {
        Part::Page(page) => {
            let mut listed = store.page::<R>(scope, &query, page, per_page).await?;
            refresh(&mut listed.items).await?;
            HttpResponse::Ok().json(PageResource {
                items: listed.items.iter().map(R::as_resource).collect(),
                page,
                per_page,
                page_count: listed.total.div_ceil(per_page),
                total: listed.total,
            })
        }
        Part::After(place) => {
            let mut slice = store.slice::<R>(scope, &query, place.as_ref(), per_page).await?;
            refresh(&mut slice.items).await?;
            HttpResponse::Ok().json(SliceResource {
                items: slice.items.iter().map(R::as_resource).collect(),
                next_cursor: slice.next.map(|place| token::write(schema, &query, &place)),
            })
        }
    })
}
