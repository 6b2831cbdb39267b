//! Who may import whom, read from the source. A change of the tables below is a change of the architecture:
//! `docs/ARCHITECTURE.md` says why they are as they are.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;

use source::{Rules, Source, cycle};

/// A module and what it may import of this crate, in reading order.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &[]),
    ("assets", &[]),
    ("console", &[]),
    ("files", &[]),
    ("sse", &[]),
    ("backoff", &[]),
    ("blocking", &[]),
    ("meter", &[]),
    ("trace", &[]),
    ("isolation", &[]),
    ("unzip", &[]),
    ("workbook", &["unzip"]),
    ("audit", &["domain", "files", "blocking"]),
    ("outbound", &[]),
    ("objects", &["files", "outbound"]),
    ("oidc", &["domain", "outbound"]),
    ("package", &["domain", "assets", "files", "unzip"]),
    ("llm", &["domain", "sse", "backoff", "meter", "outbound"]),
    ("supervision", &[]),
    ("event", &["domain"]),
    ("log", &["domain", "event", "files", "meter", "objects"]),
    ("stream", &["domain", "event", "log", "supervision", "meter"]),
    ("summary", &["domain", "event"]),
    ("workflow", &["domain"]),
    ("telemetry", &["config", "trace", "outbound", "backoff"]),
    ("store", &["domain", "summary", "workflow"]),
    ("depot", &["domain", "files", "objects", "meter", "store", "blocking"]),
    ("access", &["domain", "store"]),
    ("cluster", &["domain", "config", "store"]),
    ("catalogue", &["domain", "assets", "workflow", "store"]),
    ("projection", &["domain", "event", "summary", "store", "stream", "supervision", "backoff"]),
    ("feed", &["domain", "event", "log", "store", "stream", "supervision", "blocking"]),
    ("backup", &["domain", "config", "files", "event", "log", "package", "store", "feed", "blocking"]),
    (
        "worker",
        &[
            "domain",
            "config",
            "event",
            "isolation",
            "llm",
            "workflow",
            "package",
            "stream",
            "supervision",
            "assets",
            "files",
            "backoff",
            "blocking",
            "meter",
            "trace",
        ],
    ),
    (
        "registry",
        &[
            "domain",
            "config",
            "files",
            "event",
            "log",
            "llm",
            "workflow",
            "package",
            "store",
            "stream",
            "depot",
            "cluster",
            "projection",
            "feed",
            "supervision",
            "worker",
            "backoff",
            "blocking",
            "meter",
            "trace",
        ],
    ),
    ("maintenance", &["domain", "config", "log", "store", "depot", "registry", "supervision", "blocking"]),
    (
        "http",
        &[
            "domain", "config", "files", "event", "log", "summary", "workflow", "workbook", "package", "store",
            "depot", "access", "cluster", "stream", "registry", "blocking", "meter", "trace", "audit", "console",
            "oidc", "outbound",
        ],
    ),
    (
        "app",
        &[
            "config",
            "isolation",
            "llm",
            "telemetry",
            "objects",
            "log",
            "store",
            "depot",
            "access",
            "cluster",
            "catalogue",
            "worker",
            "registry",
            "maintenance",
            "http",
            "files",
            "blocking",
            "backup",
            "audit",
            "oidc",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "config",
            "telemetry",
            "objects",
            "event",
            "log",
            "summary",
            "workflow",
            "feed",
            "backup",
            "store",
            "access",
            "app",
            "files",
            "sse",
            "backoff",
            "blocking",
        ],
    ),
    ("main", &["isolation", "worker", "cli"]),
];

/// What is done in spite of the table, and why.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("worker", "summary", "run.completed carries the summary of its own run, folded while the run is at work"),
    ("cli", "package", "a folder is packed for import, and recognised again, as the service does it"),
    (
        "app",
        "domain",
        "the data folder's node id is made where the folder is locked, reports of maintenance pass through, and settings \
         become roles and workspaces",
    ),
];

/// A name that only these modules may use; as `name::`, or as the beginning of a name with a star.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sea_orm*", &["store"]),
    ("entity::", &["store"]),
    ("migration::", &["store"]),
    ("actix_web*", &["http", "app", "cli"]),
    (
        "actix*",
        &["supervision", "stream", "projection", "feed", "worker", "registry", "maintenance", "http", "app", "cli"],
    ),
    ("async_nats*", &["log"]),
    ("hyper*", &["llm", "outbound", "objects", "oidc", "telemetry"]),
    ("object_store*", &["objects"]),
    ("openidconnect::", &["oidc"]),
    ("opentelemetry*", &["trace", "telemetry"]),
    ("tracing_opentelemetry::", &["trace", "telemetry"]),
    // A span is entered with each look at what it is around: not on the way of an event.
    ("Instrument", &["http"]),
    ("utoipa*", &["domain", "audit", "event", "worker", "registry", "http"]),
    ("env::var", &["main"]),
    ("env::vars", &["main"]),
    ("env::var_os", &["main"]),
    ("env::vars_os", &["main"]),
];

/// Where a child may write, only `files` opens, makes, moves and removes anything: it follows no link. The others open what
/// the operator has named, or what the kernel shows of processes.
const OPENS: &[(&str, &[&str])] = &[
    ("File::open", &["files", "isolation", "worker", "cli"]),
    ("File::create", &["files", "cli"]),
    ("File::create_new", &["files", "cli"]),
    ("File::options", &["files", "isolation", "worker", "cli"]),
    ("OpenOptions", &["files", "cli"]),
    ("fs::read", &["files", "worker", "catalogue", "config", "cli"]),
    ("fs::read_to_string", &["files", "isolation", "worker", "app", "llm", "config", "cli"]),
    ("fs::read_dir", &["files", "worker", "catalogue", "cli"]),
    ("fs::write", &["files", "cli"]),
    ("fs::copy", &["cli"]),
    ("fs::hard_link", &[]),
    ("fs::rename", &["files", "cli"]),
    ("fs::remove_file", &["files", "cli"]),
    ("fs::remove_dir", &["files"]),
    ("fs::remove_dir_all", &[]),
    ("fs::set_permissions", &["files"]),
];

/// A name that these modules never use.
const NEVER_IN: &[(&str, &[&str])] = &[
    ("tokio*", &["domain", "event", "summary", "workflow", "package", "config", "assets"]),
    ("fs::", &["domain", "event", "summary", "workflow"]),
    ("net::", &["domain", "event", "summary", "workflow"]),
    ("process::", &["domain", "event", "summary", "workflow"]),
    ("Utc::now", &["domain", "event", "summary", "workflow"]),
    ("SystemTime::", &["domain", "event", "summary", "workflow"]),
    ("Instant::", &["domain", "event", "summary", "workflow"]),
];

/// What nobody does outside of tests.
const NOWHERE: &[&str] = &[".do_send(", "todo!", "unimplemented!", "dbg!", ".unwrap()"];

/// Files that use each other in a circle. There should be none: types below, behaviour above. What is listed is to be
/// mended; the list may only shrink.
const CIRCLES: &[&[&str]] = &[];

const RULES: Rules = Rules { only_in: ONLY_IN, never_in: NEVER_IN, nowhere: NOWHERE };

#[test]
fn every_module_imports_only_what_it_may() {
    let source = Source::of_this_crate();
    let violations = source.import_violations(MAY_IMPORT, ACCEPTED);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(source.imports().len() > 30, "the reader of paths finds nothing");
}

#[test]
fn every_accepted_deviation_is_still_one() {
    let imports: BTreeSet<_> = Source::of_this_crate().imports().into_iter().map(|i| (i.from, i.to)).collect();
    for (from, to, _) in ACCEPTED {
        assert!(imports.contains(&(from.to_string(), to.to_string())), "{from} does not import {to} any more");
    }
}

#[test]
fn the_documented_map_is_the_table() {
    let text = include_str!("../docs/ARCHITECTURE.md");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        let may = cells.get(2)?.split(", ").filter(|may| *may != "-").collect();
        Some((name, may))
    });
    let table = MAY_IMPORT.iter().filter(|(name, _)| *name != "main").map(|(name, may)| (*name, may.to_vec()));
    assert_eq!(rows.collect::<Vec<(_, Vec<_>)>>(), table.collect::<Vec<_>>());
    for (from, to, _) in ACCEPTED {
        assert!(text.contains(&format!("- `{from}` imports `{to}`")), "{from} -> {to} is not in the document");
    }
}

/// Each code of the page, from its table's first column.
fn documented_codes() -> Vec<&'static str> {
    let rows = include_str!("../docs/ERRORS.md").lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`')).map(|(code, _)| code).collect()
}

#[test]
fn every_documented_error_is_provoked_by_a_test_of_the_interface() {
    let mut tests = String::new();
    for folder in ["tests/api", "tests/faults"] {
        let files = std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
        files.for_each(|file| tests.push_str(&std::fs::read_to_string(file.path()).unwrap()));
    }
    let codes = documented_codes();
    let untested: Vec<_> = codes.iter().filter(|code| !tests.contains(&format!("\"{code}\""))).collect();
    assert!(codes.len() > 30 && untested.is_empty(), "{untested:?}");
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let rules: toml::Table = include_str!("../deny.toml").parse().unwrap();
    let allowed: Vec<_> = rules["licenses"]["allow"].as_array().unwrap().iter().filter_map(|id| id.as_str()).collect();
    let arguments = ["tree", "--workspace", "--all-features", "--edges", "no-dev", "--prefix", "none", "--locked"];
    let tree =
        std::process::Command::new(env!("CARGO")).args(arguments).args(["--format", "{p}|{l}"]).output().unwrap();
    let packages = String::from_utf8(tree.stdout).unwrap();
    let is_allowed = |licence: &str| {
        let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
        // An exception only takes away from the conditions of its licence.
        let is_allowed = |id: spdx::LicenseId| allowed.contains(&id.name);
        expression.is_ok_and(|it| it.evaluate(|requirement| requirement.license.id().is_some_and(is_allowed)))
    };
    let lines = packages.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty());
    let refused: BTreeSet<_> =
        lines.filter(|line| !line.rsplit_once('|').is_some_and(|(_, licence)| is_allowed(licence))).collect();
    assert!(packages.lines().count() > 100, "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn modules_form_no_cycle() {
    let source = Source::of_this_crate();
    assert_eq!(cycle(&source.imports()), None);
}

#[test]
fn files_form_no_circles_but_the_listed_ones() {
    let found = Source::of_this_crate().circles();
    let is_listed = |circle: &[String]| CIRCLES.contains(&&circle.iter().map(String::as_str).collect::<Vec<_>>()[..]);
    let is_found = |listed: &[&str]| found.iter().any(|(circle, _)| circle == listed);
    let new = found.iter().filter(|(circle, _)| !is_listed(circle));
    let new = new.map(|(circle, arrows)| format!("a new circle: {circle:?}\n  {}", arrows.join("\n  ")));
    let gone =
        CIRCLES.iter().filter(|listed| !is_found(listed)).map(|listed| format!("no circle any more: {listed:?}"));
    let wrong: Vec<_> = new.chain(gone).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_opened_where_no_link_is_followed() {
    let rules = Rules { only_in: OPENS, never_in: &[], nowhere: &[] };
    let violations = Source::of_this_crate().name_violations(&rules);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn names_are_used_where_they_belong() {
    let violations = Source::of_this_crate().name_violations(&RULES);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// The reader of sources must see what it is there to see.
mod planted {
    use super::*;

    fn source(files: &[(&str, &str)]) -> Source {
        let known = ["domain", "event", "log", "stream", "store", "http"].map(|name| (format!("{name}/mod.rs"), ""));
        let given = files.iter().map(|(path, text)| (path.to_string(), *text));
        let all = known.into_iter().filter(|(path, _)| files.iter().all(|(given, _)| given != path)).chain(given);
        Source::parse(all.map(|(path, text)| (path.into(), text.to_owned())).collect())
    }

    fn targets(path: &str, text: &str) -> Vec<String> {
        source(&[(path, text)]).imports().into_iter().map(|import| import.to).collect()
    }

    #[test]
    fn imports_of_every_spelling_are_found() {
        for text in [
            "use crate::store::Store;",
            "use crate::store;",
            "use crate::{\n    domain::Id,\n    store::{self, list::{Listed, ListQuery}},\n};",
            "use super::super::store::Store;",
            "use super::{super::store::Store, mod_b};",
            "pub(crate) use crate :: store :: *;",
            "fn f() -> crate::store::Store { todo() }",
            "fn f() { let x = crate\n::store::Store::new(); }",
            "fn f(x: &'static str) -> Vec<crate::store::Store> {}",
            "macro_rules! m { () => { $crate::store::f() } }",
            "mod inner { mod deeper { use super::super::super::super::store::Store; } }",
            "const Q: char = '\"'; use crate::store::Store; const R: &str = \"\";",
            "impl X { fn f<'a>(&'a self) { use crate::store as s; } }",
            "#[derive(crate::store::Row)] struct S;",
        ] {
            let found = targets("log/disk.rs", text);
            assert!(found.contains(&"store".to_owned()), "{text}: {found:?}");
        }
    }

    #[test]
    fn text_that_is_no_import_is_ignored() {
        for text in [
            "// use crate::store::Store;",
            "/* /* */ use crate::store::Store; */",
            "const A: &str = \"crate::store::Store\";",
            "const B: &str = r#\"\" crate::store::Store \"#;",
            "use super::seek; use self::store::X; mod store { use super::x; }",
            "use std::store::X; fn f(store: crate_store::X) {}",
            "#[cfg(test)] mod tests { use crate::store::Store; }",
            "#[cfg(test)] #[allow(x)] use crate::store::Store;",
        ] {
            assert_eq!(targets("log/disk.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_path_through_the_crate_root_is_found_too() {
        assert_eq!(targets("log/mod.rs", "use crate::*;"), ["crate"]);
        assert_eq!(targets("log/mod.rs", "use crate as all;"), ["crate"]);
        assert_eq!(targets("log/mod.rs", "use super::*;"), ["crate"]);
    }

    #[test]
    fn forbidden_unknown_and_accepted_origins_are_distinguished() {
        let source = source(&[("log/disk.rs", "\nuse crate::store::Store;"), ("new.rs", "")]);
        let table: &[(&str, &[&str])] =
            &[("domain", &[]), ("event", &[]), ("log", &["event"]), ("stream", &[]), ("store", &[]), ("http", &[])];
        let violations = source.import_violations(table, &[]);
        assert_eq!(violations, ["new is not in the table", "log/disk.rs:2: log imports store"]);
        assert_eq!(source.import_violations(table, &[("log", "store", "planted")]).len(), 1);
    }

    #[test]
    fn cycles_of_any_length_are_found() {
        let two = source(&[("log/mod.rs", "use crate::stream::X;"), ("stream/mod.rs", "use crate::log::Y;")]);
        assert_eq!(cycle(&two.imports()).unwrap(), ["log", "stream", "log"]);
        let three = source(&[
            ("log/a/b.rs", "use super::super::super::stream::X;"),
            ("stream/mod.rs", "use crate::store::Y;"),
            ("store/mod.rs", "use crate::{domain::Z, log::Y};"),
        ]);
        assert_eq!(cycle(&three.imports()).unwrap().len(), 4);
        assert_eq!(cycle(&source(&[("log/mod.rs", "use crate::stream::X;")]).imports()), None);
    }

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        source(files).circles().into_iter().map(|(circle, _)| circle).collect()
    }

    #[test]
    fn circles_between_files_are_found_for_every_import_form() {
        for (a, b) in [
            ("use super::b::B;", "use super::a::A;"),
            ("use crate::log::b;\nfn f() { b::g() }", "use crate::log::{a::A, c};"),
            ("use super::B;", "fn f(a: super::a::A) {}"),
            ("fn f() { json!(super::b::B) }", "pub use super::a::A; fn f(a: A) {}"),
            ("mod inner { use super::super::b::B; }", "use super::a as other; fn f() { other::g() }"),
        ] {
            let found = circles(&[("log/mod.rs", "pub use b::B;"), ("log/a.rs", a), ("log/b.rs", b), ("log/c.rs", "")]);
            assert_eq!(found, [["log/a.rs", "log/b.rs"]], "{a} {b}");
        }
        let parent =
            circles(&[("log/mod.rs", "mod a; pub struct T; fn f() { a::g() }"), ("log/a.rs", "use super::T;")]);
        assert_eq!(parent, [["log/a.rs", "log/mod.rs"]]);
        let three =
            [("log/a.rs", "use super::b::B;"), ("log/b.rs", "use super::c::C;"), ("log/c.rs", "use super::a::A;")];
        assert_eq!(circles(&three), [["log/a.rs", "log/b.rs", "log/c.rs"]]);
    }

    #[test]
    fn re_exports_make_no_circle() {
        for (root, a) in [
            ("mod a; pub use a::A; pub struct T;", "use super::T; pub struct A;"),
            ("mod a; pub mod b; pub use a::A; pub use b::B;", "use super::B; pub struct A;"),
            ("mod a; fn f() { a::g() } #[cfg(test)] mod tests {}", "#[cfg(test)] mod tests { use super::super::f; }"),
            ("mod a; use a::A; fn f(a: A) {}", "use super::b; pub struct A;"),
        ] {
            let found = circles(&[("log/mod.rs", root), ("log/a.rs", a), ("log/b.rs", "pub struct B;")]);
            assert_eq!(found, [[""; 0]; 0], "{root} {a}");
        }
    }

    #[test]
    fn names_in_the_wrong_place_are_found() {
        for (path, text) in [
            ("http/mod.rs", "use sea_orm::EntityTrait;"),
            ("http/mod.rs", "fn f(row: entity::run::Model) {}"),
            ("log/mod.rs", "use actix_rt::spawn;"),
            ("event/mod.rs", "async fn f() { tokio::spawn(g()); }"),
            ("http/mod.rs", "fn f() { std::env::var(\"HOME\"); }"),
            ("http/mod.rs", "fn f() { address . do_send (x); }"),
            ("http/mod.rs", "fn f() { todo!() }"),
            ("http/mod.rs", "fn f() { x.unwrap() }"),
            ("domain/mod.rs", "fn f() { chrono::Utc::now() }"),
        ] {
            assert_eq!(source(&[(path, text)]).name_violations(&RULES).len(), 1, "{text}");
        }
        for (path, text) in [
            ("store/mod.rs", "use sea_orm::EntityTrait; fn f(row: entity::run::Model) {}"),
            ("main.rs", "fn main() { std::env::vars_os(); }"),
            ("http/mod.rs", "fn f() { x.unwrap_or(y) } // todo! .unwrap()"),
            ("http/mod.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }"),
        ] {
            assert_eq!(source(&[(path, text)]).name_violations(&RULES), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_file_that_is_only_for_tests_is_left_out() {
        let planted =
            source(&[("store/mod.rs", "#[cfg(test)]\nmod fixture;"), ("store/fixture.rs", "fn f() { x.unwrap() }")]);
        assert_eq!(planted.name_violations(&RULES), [""; 0]);
        let folder = [
            ("store/mod.rs", "#[cfg(test)]\nmod fixture;"),
            ("store/fixture/mod.rs", "mod deep;"),
            ("store/fixture/deep.rs", "fn f() { x.unwrap() }"),
        ];
        assert_eq!(source(&folder).name_violations(&RULES), [""; 0]);
        let planted = source(&[("store/mod.rs", "mod fixture;"), ("store/fixture.rs", "fn f() { x.unwrap() }")]);
        assert_eq!(planted.name_violations(&RULES).len(), 1);
    }
}
