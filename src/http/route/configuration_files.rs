//! Files and directories of configurations, one by one. (A package as a whole is imported and exported in
//! `configurations`.)

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configurations::{READING_PACKAGES, find};
use super::workspaces::workspace;
use crate::blocking::blocking;
use crate::domain::configuration::Configuration;
use crate::domain::precondition::Conditions;
use crate::domain::principal::Principal;
use crate::domain::time;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::http::accept;
use crate::http::auth::{Operator, Viewer};
use crate::http::contract::{self, Operation, Routes};
use crate::http::files_query::{FilesQuery, MOST};
use crate::http::input::{self, Json};
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::query::{NoQuery, RawQuery};
use crate::http::resource::configuration_file::{
    DirectoryMade, FileContent, FileListing, FileMoved, FileWritten, Listed, content_type,
};
use crate::http::respond::file::{self, Stored};
use crate::http::respond::tagged::{tagged, weak};
use crate::package::{self, EditError, EntryContent, MAX_FILE, PackageEntry, PackagePath};
use crate::registry::RegistryHandle;
use crate::registry::configuration_edits::Place;
use crate::registry::configurations::ReadPackageError;

type Registry = web::Data<RegistryHandle>;
type FilePath = web::Path<(WorkspaceId, ConfigurationId, String)>;

pub fn mount(routes: &mut Routes) {
    routes.at(paths::of_configurations("/{configuration}/files"), |at| {
        at.read(list, |op| {
            op.named("list_configuration_files", "List the files and directories of a configuration.")
                .query("prefix", contract::text(), "Only what is below this path.")
                .query("depth", contract::words(&["0", "1", "infinity"]), "How far below; unless told, all of it.")
                .query("sort", contract::words(&["path", "name", "mtime", "size"]), "Unless told by path.")
                .query("order", contract::words(&["asc", "desc"]), "Unless told ascending.")
                .query("limit", contract::number(1, MOST), "Entries on a page; 1000 unless told.")
                .query("page_token", contract::text(), "`next_token` of the page before.")
                .answers::<FileListing>(200, "A page.")
                .conditional()
                .refuses(&[Code::InvalidCursor])
                .refuses(READING_PACKAGES)
        })
    });
    mount_files(routes);
    mount_directories(routes);
}

fn mount_files(routes: &mut Routes) {
    routes.at(paths::of_configurations("/{configuration}/files/{path:.*}"), |at| {
        at.body_limit(MAX_FILE)
            .put(write, |op| {
                edits(op.named("write_configuration_file", "Make a file, or give it new content."))
                    .query("parents", contract::flag(), "Makes the directories that it is in.")
                    .takes_bytes("The content.")
                    .answers::<FileWritten>(200, "The file has new content.")
                    .tagged(200)
                    .creates::<FileWritten>("The file is new.")
                    .tagged(201)
                    .refuses(&[Code::PayloadTooLarge])
            })
            .patch(rename, |op| {
                edits(op.named("rename_configuration_file", "Give a file another path."))
                    .takes::<Rename>()
                    .answers::<FileMoved>(200, "It has the other path.")
                    .tagged(200)
            })
            .delete(delete, |op| {
                edits(op.named("delete_configuration_file", "Delete a file.")).empty(204, "It is gone.")
            })
            .read(read, |mut op| {
                let json = contract::any_of([op.schema_of::<FileContent>(), contract::anything()]);
                op.named("read_configuration_file", "A file, by its bytes or as JSON.")
                    .query("format", contract::words(&["json", "raw"]), "Else by `Accept`.")
                    .sends_file(contract::ANY, "The file.")
                    // The bytes may be JSON too.
                    .content(200, "application/json", json, "The file.")
                    .refuses(&[Code::PathNotAllowed, Code::PayloadTooLarge])
                    .refuses(READING_PACKAGES)
            })
    });
}

fn mount_directories(routes: &mut Routes) {
    routes.at(paths::of_configurations("/{configuration}/directories/{path:.*}"), |at| {
        at.put(make_directory, |op| {
            changes(op.named("make_configuration_directory", "Make a directory, unless it is there."))
                .answers::<DirectoryMade>(200, "It was there.")
                .creates::<DirectoryMade>("It is new.")
        })
        .delete(delete_directory, |op| {
            changes(op.named("delete_configuration_directory", "Delete a directory."))
                .query("recursive", contract::flag(), "With all that is in it.")
                .empty(204, "It is gone.")
                .refuses(&[Code::DirectoryNotEmpty])
        })
    });
}

/// A change of a file, for which its `ETag` is needed when it is there.
fn edits(operation: Operation) -> Operation {
    changes(operation)
        .header("If-Match", contract::text(), false, "The `ETag` of the file that is to be changed.")
        .header("If-None-Match", contract::text(), false, "`*` for a file that must not be there.")
        .refuses(&[Code::PreconditionRequired])
}

fn changes(operation: Operation) -> Operation {
    operation
        .refuses(&[Code::PathNotAllowed, Code::ConfigurationNotEditable, Code::FileExists, Code::PreconditionFailed])
        .refuses(READING_PACKAGES)
}

async fn list(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let configuration = configuration(&registry, &principal, *path).await?;
    let query = FilesQuery::read(RawQuery::read(&request)?)?;
    let listing = registry.list_configuration(&configuration).await?;
    let found = query.found(&listing.entries);
    let (page, next_token) = query.page(found.len(), &listing.digest)?;
    let listed = Listed {
        prefix: &query.prefix,
        depth: query.depth.as_str(),
        hash: &listing.digest,
        page: &found[page],
        found: &found,
        next_token,
    };
    let shown = FileListing::of(&configuration, listed);
    let etag = weak(&listing.digest, &shown)?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).json(shown.generated(time::micros(Utc::now()))))
}

/// The forms of a file: its bytes, or JSON with them in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bytes,
    Json,
}

impl Form {
    /// By the query, else by `Accept`, whatever type the file itself has: who names JSON gets what it gets of every
    /// other file.
    fn asked(request: &HttpRequest) -> Result<Self, Problem> {
        const OFFERS: [(&str, Form); 2] = [("application/octet-stream", Form::Bytes), ("application/json", Form::Json)];
        match input::only_parameter(request, "format")?.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("raw") => Ok(Self::Bytes),
            Some(_) => Err(Problem::invalid_query("format", "json or raw")),
            None => Ok(accept::preferred(request, &OFFERS).unwrap_or(Self::Bytes)),
        }
    }
}

async fn read(
    Viewer(principal): Viewer,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let configuration = configuration(&registry, &principal, (workspace_id, id)).await?;
    let form = Form::asked(&request)?;
    let path = PackagePath::of_file(&text)?;
    let own = content_type(path.name());
    let (entry, file) = registry.open_configuration_file(&configuration, path.clone()).await.map_err(unread)?;
    let EntryContent::File { size, digest } = &entry.content else { return Err(no_file()) };
    if form == Form::Bytes {
        let stored = Stored { content: std::sync::Arc::new(file), length: *size, etag: format!("\"{digest}\"") };
        return Ok(file::send(&request, stored, own, path.name()));
    }
    if *size > MAX_FILE as u64 {
        let detail = format!("as JSON a file has at most {MAX_FILE} bytes; ask for its bytes with `format=raw`");
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    let content = blocking(move || content_of(file)).await.map_err(Problem::internal)?;
    tagged(HttpResponse::Ok(), digest, &FileContent::of(&entry, content))
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
    let (of, text) = editable(&registry, &principal, path).await?;
    let parents = input::only_flag(&request, "parents")?;
    let (path, conditions) = (PackagePath::of_file(&text)?, input::conditions(&request));
    let write =
        move |place: &Place| package::write_file(&place.directory, &place.incoming, &path, &body, &conditions, parents);
    let (written, configuration) = registry.edit_configuration(of, write).await?;
    let mut answer = put(written.created, || located(of, "files", &written.entry.path));
    insert_etag(&mut answer, &written.entry);
    Ok(answer.json(FileWritten::of(&written.entry, written.created, &configuration)))
}

fn insert_etag(answer: &mut HttpResponseBuilder, entry: &PackageEntry) {
    if let EntryContent::File { digest, .. } = &entry.content {
        answer.insert_header((header::ETAG, format!("\"{digest}\"")));
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    #[serde(default)]
    #[schema(inline)]
    op: Change,
    to: String,
    #[serde(default)]
    overwrite: bool,
    dest_if_match: Option<String>,
}

#[derive(Deserialize, Serialize, Default, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Change {
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
    let (of, text) = editable(&registry, &principal, path).await?;
    let Rename { op: Change::Move, to, overwrite, dest_if_match } = body.required()?;
    let (from, to) = (PackagePath::of_file(&text)?, PackagePath::of_file(&to)?);
    let conditions = input::conditions(&request);
    let replacing = overwrite.then(|| Conditions::matching(dest_if_match.as_deref().map(input::tags)));
    let shown = from.to_string();
    let rename = move |place: &Place| package::move_file(&place.directory, &from, &to, &conditions, replacing.as_ref());
    let (entry, configuration) = registry.edit_configuration(of, rename).await?;
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
    let (of, text) = editable(&registry, &principal, path).await?;
    let (path, conditions) = (PackagePath::of_file(&text)?, input::conditions(&request));
    let delete = move |place: &Place| package::remove_file(&place.directory, &path, &conditions);
    registry.edit_configuration(of, delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn make_directory(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let (of, text) = editable(&registry, &principal, path).await?;
    let path = PackagePath::of_directory(&text)?;
    let made = path.clone();
    let make = move |place: &Place| package::make_directory(&place.directory, &made);
    let (created, _) = registry.edit_configuration(of, make).await?;
    let mut answer = put(created, || located(of, "directories", path.as_str()));
    Ok(answer.json(DirectoryMade { path: path.as_str(), created }))
}

async fn delete_directory(
    Operator(principal): Operator,
    registry: Registry,
    path: FilePath,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (of, text) = editable(&registry, &principal, path).await?;
    let recursive = input::only_flag(&request, "recursive")?;
    let path = PackagePath::of_directory(&text)?;
    let delete = move |place: &Place| package::remove_directory(&place.directory, &place.trash, &path, recursive);
    registry.edit_configuration(of, delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The configuration of the path, if the caller may see it, and what the path names in it.
async fn editable(
    registry: &RegistryHandle,
    principal: &Principal,
    path: FilePath,
) -> Result<((WorkspaceId, ConfigurationId), String), Problem> {
    let (workspace_id, id, text) = path.into_inner();
    let found = configuration(registry, principal, (workspace_id, id)).await?;
    Ok(((found.workspace_id, found.id), text))
}

/// Of what is at the path now: 201 where it is new.
fn put(created: bool, location: impl FnOnce() -> String) -> HttpResponseBuilder {
    if !created {
        return HttpResponse::Ok();
    }
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, location()));
    answer
}

fn located((workspace_id, id): (WorkspaceId, ConfigurationId), what: &str, path: &str) -> String {
    format!("{}/{what}/{}", paths::configuration(workspace_id, id), paths::encoded(path))
}

async fn configuration(
    registry: &RegistryHandle,
    principal: &Principal,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
) -> Result<Configuration, Problem> {
    let workspace_id = workspace(registry, principal, workspace_id).await?;
    find(registry, principal, workspace_id, id).await
}

fn unread(error: ReadPackageError<EditError>) -> Problem {
    match error {
        ReadPackageError::NotReady(error) => error.into(),
        ReadPackageError::Read(error) => unreadable(error),
    }
}

/// For a file that cannot be opened.
fn unreadable(error: EditError) -> Problem {
    match error {
        EditError::NotFound { .. } | EditError::OtherKind { .. } | EditError::NoDirectory { .. } => no_file(),
        error => Problem::internal(error),
    }
}
