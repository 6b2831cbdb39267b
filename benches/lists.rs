//! Lists of a workspace with many runs: pages with filters and their totals, orders, and parts deep in the list.
//!
//! `cargo bench --bench lists -- [--quick]`. On SQLite, over HTTP, on one connection.

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ade::domain::configuration::Document;
use ade::domain::run::{Run, RunState};
use ade::domain::status::RunStatus;
use ade::domain::time::{self, Timestamp};
use ade::domain::{DocumentId, WorkspaceId};
use serde_json::{Value, json};
use support::records::Records;
use support::service::Service;
use support::{Bench, Outcome};

fn main() -> ExitCode {
    support::run("lists", measure)
}

fn measure(bench: &mut Bench) -> Outcome {
    let count = bench.pick(100_000, 5_000);
    let data = bench.folder("data")?;
    let shelf = Shelf::fill(&data, count)?;
    let service = Service::start(&data, &[])?;
    for (name, query) in shelf.pages() {
        let path = format!("{}?{query}", shelf.runs());
        let total = service.client()?.get(&path)?["total"].clone();
        report(bench, &service, &format!("{name} ({total} of {count})"), &path)?;
    }
    for (name, sort) in [
        ("newest first", ""),
        ("by start", "&sort=started_at"),
        ("by end, last first", "&sort=-completed_at"),
        ("by status", "&sort=status,-created_at"),
    ] {
        let first = format!("{}?cursor={sort}", shelf.runs());
        report(bench, &service, &format!("cursor, {name}, first part"), &first)?;
        let deep = deep(&service, &shelf, sort, count * 9 / 10)?;
        report(bench, &service, &format!("cursor, {name}, nine tenths deep"), &deep)?;
    }
    Ok(())
}

fn report(bench: &mut Bench, service: &Service, name: &str, path: &str) -> Outcome {
    if bench.wants(name) {
        for _ in 0..bench.runs(3) {
            let latency = service.latency(bench.pick(300, 30), &|_| path.to_owned())?;
            bench.report.add_latency(name, &latency);
        }
    }
    Ok(())
}

/// The path of the part that has so many runs before it.
fn deep(service: &Service, shelf: &Shelf, sort: &str, before: u64) -> Outcome<String> {
    let (mut client, mut cursor) = (service.client()?, String::new());
    for _ in 0..before / 200 {
        let slice = client.get(&format!("{}?perPage=200&cursor={cursor}{sort}", shelf.runs()))?;
        cursor = slice["next_cursor"].as_str().ok_or("the list ends early")?.to_owned();
    }
    Ok(format!("{}?cursor={cursor}{sort}", shelf.runs()))
}

/// A database with one workspace: most of its runs have succeeded, one in a hundred has failed, one in a thousand has
/// not begun. Each has a summary of two kilobytes and a document, which it shares with fifty others.
struct Shelf {
    workspace: WorkspaceId,
    document: DocumentId,
    middle: Timestamp,
}

impl Shelf {
    fn fill(data: &std::path::Path, count: u64) -> Outcome<Self> {
        let records = Records::open(data)?;
        let began = Instant::now();
        let workspace = records.configuration.workspace_id;
        let mut documents = Vec::new();
        for number in 0..count.div_ceil(50) {
            let document = document(workspace, number);
            records.system.block_on(records.store.insert_document(&document))?;
            documents.push(document.id);
        }
        let first = records.configuration.created_at;
        for number in 0..count {
            let document = documents[(number % documents.len() as u64) as usize];
            let run = run(&records, number, document);
            records.system.block_on(records.store.insert(&run, None))?;
        }
        eprintln!("  {count} runs stored in {:.1} s", began.elapsed().as_secs_f64());
        let middle = first + SPACING * u32::try_from(count / 2)?;
        records.close()?;
        Ok(Self { workspace, document: documents[documents.len() / 2], middle })
    }

    fn runs(&self) -> String {
        format!("/api/v1/workspaces/{}/runs", self.workspace)
    }

    /// First pages, by what they are filtered with.
    fn pages(&self) -> Vec<(&'static str, String)> {
        let one =
            |id: &str, operator: &str, value: Value| filters(json!([{"id": id, "operator": operator, "value": value}]));
        let middle = time::format(self.middle);
        let hour_later = time::format(self.middle + Duration::from_secs(3600));
        let either = json!([
            {"id": "status", "operator": "eq", "value": "failed"}, {"id": "has_output", "operator": "eq", "value": false},
        ]);
        vec![
            ("no filter", String::new()),
            ("status eq", one("status", "eq", json!("failed"))),
            ("status eq, nearly all", one("status", "eq", json!("succeeded"))),
            ("status eq, none", one("status", "eq", json!("running"))),
            ("two statuses", "status=failed&status=queued".into()),
            ("status ne", one("status", "ne", json!("succeeded"))),
            ("created_at between", one("created_at", "between", json!([middle, hour_later]))),
            ("completed_at gt", one("completed_at", "gt", json!(middle))),
            ("completed_at between", one("completed_at", "between", json!([middle, hour_later]))),
            ("started_at isEmpty", one("started_at", "isEmpty", Value::Null)),
            ("has_output eq false", one("has_output", "eq", json!(false))),
            ("input_document_id eq", one("input_document_id", "eq", json!(self.document))),
            ("status or has_output", format!("joinOperator=or&{}", filters(either))),
            ("q, a document's name", "q=file%20777.csv".into()),
        ]
    }
}

fn filters(items: Value) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("filters={}", items.to_string().bytes().map(byte).collect::<String>())
}

const SPACING: Duration = Duration::from_secs(60);

fn run(records: &Records, number: u64, document: DocumentId) -> Run {
    let mut run = records.run();
    run.created_at = records.configuration.created_at + SPACING * number as u32;
    run.options.document_ids = vec![document];
    let started_at = (number % 1000 != 500).then_some(run.created_at + Duration::from_millis(300));
    let status = match (started_at, number % 100) {
        (None, _) => RunStatus::Queued,
        (Some(_), 7) => RunStatus::Failed,
        (Some(_), _) => RunStatus::Succeeded,
    };
    let has_output = status == RunStatus::Succeeded;
    run.state = RunState {
        status,
        started_at,
        completed_at: started_at.map(|at| at + Duration::from_millis(2000 + number * 7919 % 5000)),
        output_paths: if has_output { vec!["output/normalized.xlsx".into()] } else { Vec::new() },
        processed_files: vec!["roster.xlsx".into()],
        summary: started_at.map(|_| json!({"core": {"text": "x".repeat(2000)}})),
        ..RunState::default()
    };
    run
}

fn document(workspace_id: WorkspaceId, number: u64) -> Document {
    let now = time::micros(chrono::Utc::now());
    Document {
        id: DocumentId::generate(),
        workspace_id,
        name: format!("file {number}.csv"),
        content_type: "text/csv".into(),
        byte_size: 1000,
        sha256: "ab".repeat(32),
        metadata: json!({}),
        tags: Vec::new(),
        expires_at: None,
        created_at: now,
        updated_at: now,
        last_run: None,
    }
}
