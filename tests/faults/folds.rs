//! Whatever an engine tells, and how often, is summed in bounded time and memory, and what is left out is counted.

use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::server::Server;
use crate::support::work::Place;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a number"))
}

#[test]
fn endless_wide_tables_are_summed_while_the_service_answers() {
    const COLUMNS: u64 = 8000;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    place.warm_up(&server);
    let run = place.run(&server, &format!("tables 60 {COLUMNS}"));
    while !matches!(run.show(&server)["status"].as_str(), Some("succeeded" | "failed")) {
        assert_eq!(server.get("/health/ready")["status"], "ok", "the service answers while it folds");
    }
    let row = run.ended(&server);
    assert_eq!((&row["status"], number(&row["table_count"])), (&json!("succeeded"), 60), "{row}");
    let summary = server.get(&format!("{}/summary", run.path()));
    let listed = summary["breakdowns"]["by_field"].as_array().unwrap().len() as u64;
    assert_eq!(listed + number(&summary["truncated"]["fields"]), COLUMNS);
    assert_eq!(number(&summary["core"]["mapped_field_count"]), COLUMNS);
    assert_eq!(number(&summary["core"]["validation_issue_count_total"]), 6000);
    let log = Log::read(folder.path(), &row);
    assert_eq!(log.assert_ended()["payload"]["summary"], summary, "the log tells the same");
    assert!(log.lines.last().unwrap().len() < 1 << 20, "the last line keeps its bounds");
    server.stop();
}
