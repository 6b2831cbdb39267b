//! `docs/OPERATIONS.md`, followed by an operator who types every command of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::server::{Settings, ade};
use crate::{done, fixture};

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");

/// What a newer release would have done to the schema, of which this one knows nothing.
const NEWER_SCHEMA: &str = r#"
python3 - /var/lib/ade/ade.db <<'END'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("ALTER TABLE runs ADD COLUMN wings TEXT")
database.execute("CREATE TABLE nests (id TEXT PRIMARY KEY, twigs INTEGER NOT NULL)")
database.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_add_wings', 0)")
database.commit()
END
"#;

/// The commands of the page's sections, with their headings.
fn sections() -> Vec<(&'static str, String)> {
    let sections = PAGE.split("\n## ").skip(1);
    sections
        .map(|section| {
            let heading = section.lines().next().unwrap_or_default();
            let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
            (heading, blocks.map(|(block, _)| format!("{block}\n")).collect())
        })
        .collect()
}

/// The whole page as one script, in places of its own.
fn script(ground: &Path, port: u16) -> String {
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for (heading, commands) in sections() {
        if heading.ends_with("Roll back") {
            script.push_str(NEWER_SCHEMA);
        }
        script.push_str(&format!("printf '\\n== %s\\n' '{heading}'\n{commands}"));
    }
    let place = |name: &str| ground.join(name).display().to_string();
    let built = Path::new(env!("CARGO_BIN_EXE_ade"));
    script
        .replace("/opt/ade", &place("opt"))
        .replace("/var/lib/ade", &place("data"))
        .replace("target/release/ade", &built.display().to_string())
        .replace("tests/fixtures/roster.xlsx", &fixture("roster.xlsx").display().to_string())
        .replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"))
}

/// Settings come from the page alone, but for the index and the search path.
fn shell(ground: &Path) -> Command {
    let environment = ade(ground, &Settings::new());
    let mut shell = Command::new("bash");
    shell.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env_remove("ADE_DATA_DIR").env_remove("ADE_BIND").current_dir(ground);
    shell
}

#[test]
fn every_command_of_the_page_works_from_an_empty_machine_to_the_way_back() {
    let ground = tempfile::tempdir().unwrap();
    let ground = ground.path();
    let previous = ground.join("opt/releases/0.0.9");
    fs::create_dir_all(&previous).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_ade"), previous.join("ade")).unwrap();
    symlink(&previous, ground.join("opt/current")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(ground.join("page.sh"), script(ground, port)).unwrap();

    let (code, out, err) = done(shell(ground).arg("page.sh"));
    let service = fs::read_to_string(ground.join("data/service.log")).unwrap_or_default();
    assert_eq!(code, Some(0), "{out}\n{err}\n{service}");
    let headings: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("== ")).collect();
    assert_eq!(headings.len(), 8, "{headings:?}");
    assert!(out.contains("unknown (newer)  m20990101_000001_add_wings"), "{out}");
    assert!(service.contains("newer than this program"), "{service}");
    assert_eq!(fs::read_link(ground.join("opt/current")).unwrap(), previous);
}

#[test]
fn every_section_has_commands_and_every_command_shown_is_run() {
    let fences = PAGE.lines().filter(|line| line.starts_with("```") && line.len() > 3);
    let kinds: Vec<_> = fences.map(|line| &line[3..]).collect();
    assert!(kinds.iter().all(|kind| ["sh", "ini"].contains(kind)), "{kinds:?}");
    assert!(sections().iter().all(|(heading, commands)| !commands.is_empty() && heading.starts_with(char::is_numeric)));
}
