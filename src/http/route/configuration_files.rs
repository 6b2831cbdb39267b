//! Files and directories of configurations, one by one. (A package as a whole is imported and exported in
//! `configurations`.)

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chrono::Utc;
use serde::Deserialize;

use super::configurations::find;
use super::read::Read as _;
use super::workspaces::workspace;
use crate::blocking::blocking;
use crate::domain::configuration::Configuration;
use crate::domain::precondition::Conditions;
use crate::domain::principal::Principal;
use crate::domain::time;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::http::accept;
use crate::http::auth::{Operator, Viewer};
use crate::http::files_query::FilesQuery;
use crate::http::input::{self, Json};
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::query::{NoQuery, RawQuery};
use crate::http::resource::configuration_file::{
    DirectoryMade, FileContent, FileListing, FileMoved, FileWritten, Listed, content_type,
};
use crate::http::respond::file::{self, Stored};
use crate::package::{self, EditError, EntryContent, MAX_FILE, PackageEntry, PackagePath};
use crate::registry::RegistryHandle;
use crate::registry::configuration_edits::Place;

type Registry = web::Data<RegistryHandle>;
type FilePath = web::Path<(WorkspaceId, ConfigurationId, String)>;

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(paths::of_configurations("/{configuration}/files")).read(list))
        .service(
            web::resource(paths::of_configurations("/{configuration}/files/{path:.*}"))
                .app_data(web::PayloadConfig::new(MAX_FILE))
                .route(web::put().to(write))
                .route(web::patch().to(rename))
                .route(web::delete().to(delete))
                .read(read),
        )
        .service(
            web::resource(paths::of_configurations("/{configuration}/directories/{path:.*}"))
                .route(web::put().to(make_directory))
                .route(web::delete().to(delete_directory)),
        );
}

async fn list(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let configuration = configuration(&registry, &principal, *path).await?;
    let query = FilesQuery::read(RawQuery::read(&request)?)?;
    let listing = registry.list_configuration(&configuration).await.map_err(Problem::internal)?;
    let found = query.found(&listing.entries);
    let (page, next_token) = query.page(found.len(), &listing.digest)?;
    let listed = Listed {
        prefix: &query.prefix,
        depth: query.depth.as_str(),
        hash: &listing.digest,
        page: &found[page],
        found: &found,
        next_token,
        now: time::micros(Utc::now()),
    };
    let etag = format!("W/\"{}\"", listing.digest);
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).json(FileListing::of(&configuration, listed)))
}

/// The forms of a file: its bytes, or JSON with them in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bytes,
    Json,
}

async fn read(
    Viewer(principal): Viewer,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let configuration = configuration(&registry, &principal, (workspace_id, id)).await?;
    let asked = input::only_parameter(&request, "format")?;
    let path = PackagePath::of_file(&text)?;
    let own = content_type(path.name());
    let form = match asked.as_deref() {
        Some("json") => Form::Json,
        Some("raw") => Form::Bytes,
        Some(_) => return Err(Problem::invalid_query("format", "json or raw")),
        // Whatever type the file itself has: who names JSON gets what it gets of every other file.
        None => {
            accept::preferred(&request, &[("application/octet-stream", Form::Bytes), ("application/json", Form::Json)])
                .unwrap_or(Form::Bytes)
        }
    };
    let (entry, file) = registry.open_configuration_file(&configuration, path.clone()).await.map_err(unreadable)?;
    let EntryContent::File { size, digest } = &entry.content else { return Err(no_file()) };
    let etag = format!("\"{digest}\"");
    if form == Form::Bytes {
        let stored = Stored { content: std::sync::Arc::new(file), length: *size, etag };
        return Ok(file::send(&request, stored, own, path.name()));
    }
    if *size > MAX_FILE as u64 {
        let detail = format!("as JSON a file has at most {MAX_FILE} bytes; ask for its bytes with `format=raw`");
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    let content = blocking(move || content_of(file)).await.map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).json(FileContent::of(&entry, content)))
}

fn content_of(file: std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let (mut file, mut content) = (file, Vec::new());
    file.rewind()?;
    file.take(MAX_FILE as u64).read_to_end(&mut content)?;
    Ok(content)
}

fn no_file() -> Problem {
    Problem::not_found("the file")
}

/// Makes a file, or gives it new content.
async fn write(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let of = configuration(&registry, &principal, (workspace_id, id)).await?;
    let mut query = RawQuery::read(&request)?;
    let parents = query.flag("parents")?;
    query.finish("parents")?;
    let (path, conditions) = (PackagePath::of_file(&text)?, input::conditions(&request));
    let write =
        move |place: &Place| package::write_file(&place.directory, &place.incoming, &path, &body, &conditions, parents);
    let (written, configuration) = registry.edit_configuration((of.workspace_id, of.id), write).await?;
    let mut answer = if written.created { HttpResponse::Created() } else { HttpResponse::Ok() };
    if written.created {
        answer.insert_header((header::LOCATION, request.path().to_owned()));
    }
    insert_etag(&mut answer, &written.entry);
    Ok(answer.json(FileWritten::of(&written.entry, written.created, &configuration)))
}

fn insert_etag(answer: &mut actix_web::HttpResponseBuilder, entry: &PackageEntry) {
    if let EntryContent::File { digest, .. } = &entry.content {
        answer.insert_header((header::ETAG, format!("\"{digest}\"")));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    #[serde(default)]
    op: Operation,
    to: String,
    #[serde(default)]
    overwrite: bool,
    dest_if_match: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum Operation {
    #[default]
    Move,
}

/// Gives a file another path.
async fn rename(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let of = configuration(&registry, &principal, (workspace_id, id)).await?;
    let Rename { op: Operation::Move, to, overwrite, dest_if_match } = body.required()?;
    let (from, to) = (PackagePath::of_file(&text)?, PackagePath::of_file(&to)?);
    let conditions = input::conditions(&request);
    let replacing = overwrite.then(|| Conditions::matching(dest_if_match.as_deref().map(input::tags)));
    let shown = from.to_string();
    let rename = move |place: &Place| package::move_file(&place.directory, &from, &to, &conditions, replacing.as_ref());
    let (entry, configuration) = registry.edit_configuration((of.workspace_id, of.id), rename).await?;
    let mut answer = HttpResponse::Ok();
    insert_etag(&mut answer, &entry);
    Ok(answer.json(FileMoved::of(&shown, &entry, &configuration)))
}

async fn delete(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let of = configuration(&registry, &principal, (workspace_id, id)).await?;
    let (path, conditions) = (PackagePath::of_file(&text)?, input::conditions(&request));
    let delete = move |place: &Place| package::remove_file(&place.directory, &path, &conditions);
    registry.edit_configuration((of.workspace_id, of.id), delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn make_directory(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let of = configuration(&registry, &principal, (workspace_id, id)).await?;
    let path = PackagePath::of_directory(&text)?;
    let made = path.clone();
    let make = move |place: &Place| package::make_directory(&place.directory, &made);
    let (created, _) = registry.edit_configuration((of.workspace_id, of.id), make).await?;
    let mut answer = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    if created {
        answer.insert_header((header::LOCATION, request.path().to_owned()));
    }
    Ok(answer.json(DirectoryMade { path: path.as_str(), created }))
}

async fn delete_directory(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let of = configuration(&registry, &principal, (workspace_id, id)).await?;
    let mut query = RawQuery::read(&request)?;
    let recursive = query.flag("recursive")?;
    query.finish("recursive")?;
    let path = PackagePath::of_directory(&text)?;
    let delete = move |place: &Place| package::remove_directory(&place.directory, &place.trash, &path, recursive);
    registry.edit_configuration((of.workspace_id, of.id), delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn configuration(
    registry: &RegistryHandle,
    principal: &Principal,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
) -> Result<Configuration, Problem> {
    let workspace_id = workspace(registry, principal, workspace_id).await?;
    find(registry, principal, workspace_id, id).await
}

/// For a file that cannot be opened.
fn unreadable(error: EditError) -> Problem {
    match error {
        EditError::NotFound { .. } | EditError::OtherKind { .. } | EditError::NoDirectory { .. } => no_file(),
        error => Problem::internal(error),
    }
}
