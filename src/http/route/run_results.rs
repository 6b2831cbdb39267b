//! What a run has come to: its summary, its outputs, and how its engine ended.

use std::collections::VecDeque;
use std::io;
use std::path::{Component, Path, PathBuf};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::runs::find;
use super::work::READING_LOGS;
use crate::blocking::blocking;
use crate::depot::OpenError;
use crate::domain::RunId;
use crate::domain::run::Run;
use crate::domain::sequence::Start;
use crate::domain::text::clipped;
use crate::domain::work::Work as _;
use crate::event::codec;
use crate::event::payload::build::BUILD_PHASE_COMPLETED;
use crate::event::payload::console::CONSOLE_LINE;
use crate::event::payload::run::RUN_PHASE_COMPLETED;
use crate::files::{self, Dir};
use crate::http::auth::Viewer;
use crate::http::contract::{self, Routes};
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::respond::file;
use crate::registry::RegistryHandle;
use crate::stream::Item;
use crate::summary::{Fact, RunFold};

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/runs/{run}/summary", |at| {
            at.read(summary, |op| {
                op.named("show_run_summary", "What a run has found, once it has ended.")
                    .answers::<RunSummary>(200, "`ade.run_summary/v1`.")
                    .refuses(READING_LOGS)
            })
        })
        .at("/runs/{run}/outputs", |at| {
            at.read(outputs, |op| {
                op.named("list_run_outputs", "List the files that a run has made.")
                    .answers::<OutputList>(200, "The files that are there.")
                    .refuses(&[Code::FileElsewhere])
            })
        })
        .at("/runs/{run}/outputs/{path:.*}", |at| {
            at.read(output, |op| {
                op.named("download_run_output", "A file that a run has made.")
                    .sends_file(contract::ANY, "The file.")
                    .refuses(&[Code::NoOutput, Code::StoreUnavailable, Code::StoredFileDamaged, Code::FileElsewhere])
            })
        })
        .at("/runs/{run}/diagnostics", |at| {
            at.read(diagnostics, |op| {
                op.named("show_run_diagnostics", "How the engine ended, and the end of what it said.")
                    .answers::<DiagnosticsResource>(200, "What is known.")
                    .refuses(READING_LOGS)
            })
        });
}

/// `ade.run_summary/v1`: what was read, tables and their columns, and what was wrong with them.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[allow(dead_code, reason = "the form of what is stored as JSON")]
struct RunSummary(Map<String, Value>);

async fn summary(Viewer(principal): Viewer, registry: Registry, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    let run = registry.show::<Run>(&principal, *id).await?.ok_or_else(|| Problem::not_found("the run"))?;
    let summary = match &run.state.summary {
        None if run.state.status.is_terminal() => folded_summary(&registry, &run).await?,
        stored => stored.clone(),
    };
    match summary {
        Some(summary) => Ok(HttpResponse::Ok().json(summary)),
        None => Err(Problem::new(Code::NotFound, "the run has no summary before it has ended")),
    }
}

/// From the log, when the row has none.
async fn folded_summary(registry: &RegistryHandle, run: &Run) -> Result<Option<Value>, Problem> {
    let mut fold = RunFold::new(run.id, run.workspace_id, run.configuration_id);
    let mut follow = registry.follow(run.stream_key(), Start::default()).await?;
    while follow.position() < follow.hub().tail().sequence {
        let Item::Chunk(chunk) = follow.next().await.map_err(Problem::internal)? else { break };
        chunk.for_each(|_, line| {
            if let Some(event) = RunFold::is_relevant(codec::raw_type(line)).then(|| codec::decode(line).ok()).flatten()
            {
                fold.apply(Fact::from(&event));
            }
        });
    }
    Ok(fold.state().summary.clone())
}

async fn outputs(
    Viewer(principal): Viewer,
    _: NoQuery,
    registry: Registry,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = registry.show::<Run>(&principal, *id).await?.ok_or_else(|| Problem::not_found("the run"))?;
    let data_dir = registry.settings().storage.data_dir.clone();
    let (left_out, directory) = (left_out(&run), run.stream_key().directory());
    let paths = run.state.output_paths.clone();
    let mut sizes = blocking(move || sizes(&data_dir, &paths, &directory)).await.map_err(Problem::internal)?;
    if sizes.contains(&None) {
        look_in_store(&registry, &run, &mut sizes).await?;
    }
    // Of this node's own runs, what is nowhere is gone.
    if sizes.contains(&None) && run.node_id != registry.nodes().own_id() && !registry.nodes().is_alone() {
        return Err(Problem::new(Code::FileElsewhere, "outputs of the run are on the disk of another node"));
    }
    let found = run.state.output_paths.iter().zip(sizes);
    let files = found.filter_map(|(path, size)| entry(&run, path, size?)).collect();
    Ok(HttpResponse::Ok().json(OutputList { files, left_out }))
}

#[derive(Serialize, ToSchema)]
struct OutputList {
    files: Vec<OutputResource>,
    left_out: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Output)]
struct OutputResource {
    name: String,
    kind: Option<&'static str>,
    content_type: &'static str,
    byte_size: u64,
    download_url: String,
}

/// Outputs that are there and not listed, since there are too many; each can be fetched by its name.
fn left_out(run: &Run) -> u64 {
    let truncated = run.state.summary.as_ref().and_then(|summary| summary["truncated"]["output_paths"].as_u64());
    truncated.unwrap_or(0)
}

/// The sizes of what is on the disk.
fn sizes(data_dir: &Path, paths: &[String], directory: &Path) -> io::Result<Vec<Option<u64>>> {
    match Dir::root(data_dir)?.open(directory) {
        Err(error) if files::is_absent(&error) => Ok(vec![None; paths.len()]),
        directory => {
            let directory = directory?;
            Ok(paths.iter().map(|path| directory.size(path).ok()).collect())
        }
    }
}

/// More than the end of a run names.
const MOST_LOOKED_UP: u64 = 10_000;

/// The sizes of what is in the object store and not on the disk.
async fn look_in_store(registry: &Registry, run: &Run, sizes: &mut [Option<u64>]) -> Result<(), Problem> {
    let directory = run.stream_key().directory();
    let stored = registry.services().depot.sizes_below(&directory.join("output"), MOST_LOOKED_UP).await?;
    for (path, size) in run.state.output_paths.iter().zip(sizes).filter(|(_, size)| size.is_none()) {
        *size = directory.join(path).to_str().and_then(|path| stored.get(path).copied());
    }
    Ok(())
}

/// An output as it is listed; one that has been deleted since is not.
fn entry(run: &Run, path: &str, byte_size: u64) -> Option<OutputResource> {
    let name = path.strip_prefix("output/")?;
    let content_type = content_type(name);
    let kind = [XLSX, XLSM].contains(&content_type).then_some("normalized_workbook");
    let download_url = format!("{}/outputs/{}", paths::work(run.id), paths::encoded(name));
    Some(OutputResource { name: name.to_owned(), kind, content_type, byte_size, download_url })
}

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

const XLSM: &str = "application/vnd.ms-excel.sheet.macroEnabled.12";

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("xlsx") => XLSX,
        Some("xlsm") => XLSM,
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("txt" | "log") => "text/plain",
        _ => "application/octet-stream",
    }
}

async fn output(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(RunId, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let run = find(&principal, &registry, path.0).await?;
    let absent = || Problem::new(Code::NoOutput, "the run has no such output");
    let wanted = Path::new(&path.1);
    if wanted.as_os_str().is_empty() || !wanted.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(absent());
    }
    let name = wanted.file_name().and_then(|name| name.to_str()).unwrap_or("output").to_owned();
    // As it is noted, however it was asked for.
    let wanted: PathBuf = wanted.components().collect();
    let path = run.stream_key().directory().join("output").join(wanted);
    let depot = &registry.services().depot;
    let opened = depot.open(&path).await.map_err(|error| match error {
        OpenError::NotFound => absent(),
        error => error.into(),
    })?;
    // A copy comes and goes, and its content stays.
    let tag = depot.content_tag(&path).await?.map(|sha256| format!("\"{sha256}\""));
    file::respond(&request, opened, tag, content_type(&name), &name).await
}

const LAST_LINES: usize = 50;
/// Bytes; the service writes less, but an engine may have put another file there.
const DIAGNOSTICS: u64 = 4 << 20;

/// How the engine ended, and the end of what it said.
async fn diagnostics(
    Viewer(principal): Viewer,
    registry: Registry,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = find(&principal, &registry, *id).await?;
    let (data_dir, directory) = (registry.settings().storage.data_dir.clone(), run.stream_key().directory());
    let written =
        blocking(move || Dir::root(&data_dir)?.open(directory)?.read("diagnostics.json", DIAGNOSTICS)).await.ok();
    let engine: Option<Value> = written.and_then(|text| serde_json::from_slice(&text).ok());
    let mut follow = registry.follow(run.stream_key(), Start::default()).await?;
    let mut tail = LogTail::default();
    let until = follow.hub().tail();
    while follow.position() < until.sequence {
        let Item::Chunk(chunk) = follow.next().await.map_err(Problem::internal)? else { break };
        chunk.for_each(|_, line| tail.take(line));
    }
    Ok(HttpResponse::Ok().json(DiagnosticsResource {
        run_id: run.id,
        engine,
        last_lines: tail.last_lines(),
        phases: tail.phases,
        phases_left_out: tail.phases_left_out,
        log: LogResource { last_sequence: until.sequence, bytes: until.bytes, closed: until.closed },
    }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = RunDiagnostics)]
struct DiagnosticsResource {
    run_id: RunId,
    engine: Option<Value>,
    /// Payloads of `console.line`.
    #[schema(value_type = Vec<Object>)]
    last_lines: Vec<Value>,
    /// Payloads of `run.phase.completed` and `build.phase.completed`, each with its `scope`.
    #[schema(value_type = Vec<Object>)]
    phases: Vec<Value>,
    phases_left_out: u64,
    log: LogResource,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LogPosition)]
struct LogResource {
    last_sequence: u64,
    bytes: u64,
    closed: bool,
}

/// At most this many phases are shown; an engine may name millions.
const PHASES: usize = 500;
/// Bytes of a phase or line that is shown whole; a longer line is cut.
const PIECE: usize = 8 << 10;

/// The end of a run, from its log.
#[derive(Default)]
struct LogTail {
    last_lines: VecDeque<Vec<u8>>,
    phases: Vec<Value>,
    phases_left_out: u64,
}

impl LogTail {
    fn take(&mut self, line: &[u8]) {
        match codec::raw_type(line) {
            kind if kind == CONSOLE_LINE.as_bytes() => {
                if self.last_lines.len() == LAST_LINES {
                    self.last_lines.pop_front();
                }
                self.last_lines.push_back(line.to_vec());
            }
            kind if kind == RUN_PHASE_COMPLETED.as_bytes() => self.phase("run", line),
            kind if kind == BUILD_PHASE_COMPLETED.as_bytes() => self.phase("build", line),
            _ => {}
        }
    }

    fn phase(&mut self, scope: &str, line: &[u8]) {
        if self.phases.len() < PHASES && line.len() <= PIECE {
            self.phases.extend(phase(scope, line));
        } else {
            self.phases_left_out += 1;
        }
    }

    fn last_lines(&self) -> Vec<Value> {
        self.last_lines.iter().filter_map(|line| payload(line)).map(shortened).collect()
    }
}

/// A console line of which a long message is cut.
fn shortened(mut line: Value) -> Value {
    if line.to_string().len() > PIECE {
        let message = line["message"].as_str().map(|message| clipped(message, PIECE / 2));
        let mut kept = Map::new();
        for name in ["scope", "stream", "level"] {
            kept.insert(name.to_owned(), line[name].take());
        }
        kept.insert("message".to_owned(), message.into());
        kept.insert("truncated".to_owned(), true.into());
        return kept.into();
    }
    line
}

/// A phase that is over, of the run itself or of the build it waited for.
fn phase(scope: &str, line: &[u8]) -> Option<Value> {
    let mut phase = payload(line)?;
    phase.as_object_mut()?.insert("scope".to_owned(), scope.into());
    Some(phase)
}

fn payload(line: &[u8]) -> Option<Value> {
    serde_json::from_str(codec::decode(line).ok()?.payload.get()).ok()
}
