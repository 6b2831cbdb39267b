//! The contract itself: as a document for programs, and as a page for people.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::http::contract::{self, Routes, STYLE, SharedDocument};

pub fn mount(routes: &mut Routes) {
    routes.at("/openapi.json", |at| {
        at.read(show, |op| {
            op.named("show_contract", "This document.")
                .content(200, "application/json", contract::anything(), "OpenAPI 3.1.")
                .conditional()
        })
    });
}

/// What stands outside of the interface.
pub fn mount_page(routes: &mut Routes) {
    routes
        .at("/api/docs", |at| {
            at.read(page, |op| {
                op.named("show_contract_page", "This document as a page.").content(
                    200,
                    "text/html",
                    contract::text(),
                    "HTML.",
                )
            })
        })
        .at("/api/docs/style.css", |at| {
            at.read(style, |op| {
                op.named("show_contract_style", "The style sheet of the page.").content(
                    200,
                    "text/css",
                    contract::text(),
                    "CSS.",
                )
            })
        });
}

async fn show(document: web::Data<SharedDocument>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json").insert_header((header::ETAG, document.etag.as_str()));
    answer.body(document.json.clone())
}

async fn page(document: web::Data<SharedDocument>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(document.page.clone())
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(STYLE)
}
