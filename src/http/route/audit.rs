//! Who has changed what.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::audit::{AuditLog, Page};
use crate::http::auth::Admin;
use crate::http::contract::{self, Routes};
use crate::http::problem::Problem;
use crate::http::query::RawQuery;

const LIMIT: u64 = 100;
const MOST: u64 = 1000;

pub fn mount(routes: &mut Routes) {
    routes.at("/audit", |at| {
        at.read(entries, |op| {
            op.named("list_audit_entries", "Who has changed what, oldest first.")
                .query("after_sequence", contract::number(0, None), "Begins behind this entry.")
                .query("limit", contract::number(1, MOST), "At most so many; 100 unless told.")
                .answers::<Page>(200, "Entries.")
        })
    });
}

/// Oldest first, behind a position.
async fn entries(_: Admin, log: web::Data<AuditLog>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = RawQuery::read(&request)?;
    let after = query.number("after_sequence")?.unwrap_or(0);
    let limit = query.number("limit")?.unwrap_or(LIMIT);
    query.finish("after_sequence, limit")?;
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid_query("limit", "a whole number from 1 to 1000"));
    }
    let page = log.page(after, limit as usize).await.map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().json(page))
}
