//! Who may import whom, read from the source. A change of the tables below is a change of the architecture:
//! `docs/ARCHITECTURE.md` says why they are as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module and what it may import of this crate, in reading order.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &[]),
    ("assets", &[]),
    ("package", &["domain", "assets"]),
    ("supervision", &[]),
    ("event", &["domain"]),
    ("log", &["domain", "event"]),
    ("stream", &["domain", "event", "log", "supervision"]),
    ("summary", &["domain", "event"]),
    ("telemetry", &["config"]),
    ("store", &["domain", "summary"]),
    ("projection", &["domain", "event", "summary", "store", "stream", "supervision"]),
    ("worker", &["domain", "config", "event", "package", "stream", "supervision", "assets"]),
    (
        "registry",
        &["domain", "config", "event", "log", "package", "store", "stream", "projection", "supervision", "worker"],
    ),
    ("http", &["domain", "config", "event", "log", "summary", "package", "store", "stream", "registry"]),
    ("app", &["config", "telemetry", "log", "store", "registry", "http"]),
    ("cli", &["domain", "config", "telemetry", "event", "log", "summary", "store", "app"]),
    ("main", &["cli"]),
];

/// What is done in spite of the table, and why.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("worker", "summary", "run.completed carries the summary of its own run, folded while the run is at work"),
    ("cli", "package", "a folder is packed for import, and recognised again, as the service does it"),
    ("app", "domain", "the data folder's node id is made and kept where the folder is locked"),
];

/// A name that only these modules may use; as `name::`, or as the beginning of a name with a star.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sea_orm*", &["store"]),
    ("entity::", &["store"]),
    ("migration::", &["store"]),
    ("actix_web*", &["http", "app", "cli"]),
    ("actix*", &["stream", "projection", "worker", "registry", "http", "app", "cli"]),
    ("env::var", &["main"]),
    ("env::vars", &["main"]),
    ("env::var_os", &["main"]),
    ("env::vars_os", &["main"]),
];

/// A name that these modules never use.
const NEVER_IN: &[(&str, &[&str])] = &[
    ("tokio*", &["domain", "event", "summary", "package", "config", "assets"]),
    ("fs::", &["domain", "event", "summary"]),
    ("net::", &["domain", "event", "summary"]),
    ("process::", &["domain", "event", "summary"]),
    ("Utc::now", &["domain", "event", "summary"]),
    ("SystemTime::", &["domain", "event", "summary"]),
    ("Instant::", &["domain", "event", "summary"]),
];

/// What nobody does outside of tests.
const NOWHERE: &[&str] = &[".do_send(", "todo!", "unimplemented!", "dbg!", ".unwrap()"];

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
fn modules_form_no_cycle() {
    let source = Source::of_this_crate();
    assert_eq!(cycle(&source.imports()), None);
}

#[test]
fn names_are_used_where_they_belong() {
    let violations = Source::of_this_crate().name_violations();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// The files of a crate that are not only for tests, without what in them is.
struct Source(Vec<File>);

struct File {
    path: PathBuf,
    /// `["http", "route", "runs"]`; `main.rs` is `["main"]`.
    module: Vec<String>,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// One module names another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    from: String,
    to: String,
    place: String,
}

impl Source {
    fn of_this_crate() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let texts = files.into_iter().map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        });
        Self::parse(texts.collect())
    }

    fn parse(texts: Vec<(PathBuf, String)>) -> Self {
        let mut files = Vec::new();
        let mut only_for_tests = BTreeSet::new();
        for (path, text) in texts {
            let module = module_of(&path);
            let tokens = without_tests(tokens(&text), |name| {
                let folder =
                    if is_root_of_folder(&path) { path.parent().unwrap().into() } else { path.with_extension("") };
                // Where a `#[path]` leads is beside the file.
                only_for_tests.extend([folder.join(format!("{name}.rs")), path.with_file_name(format!("{name}.rs"))]);
                only_for_tests
                    .insert(path.with_file_name(format!("{}_{name}.rs", path.file_stem().unwrap().display())));
            });
            files.push(File { path, module, tokens });
        }
        files.retain(|file| !only_for_tests.contains(&file.path));
        Self(files)
    }

    fn modules(&self) -> BTreeSet<String> {
        self.0.iter().filter_map(|file| file.module.first().cloned()).collect()
    }

    fn imports(&self) -> Vec<Import> {
        let modules = self.modules();
        let found = self.0.iter().flat_map(|file| file.imports(&modules));
        found.filter(|import| import.from != import.to).collect()
    }

    fn import_violations(&self, table: &[(&str, &[&str])], accepted: &[(&str, &str, &str)]) -> Vec<String> {
        let row = |name: &str| table.iter().find(|(module, _)| *module == name).map(|(_, may)| *may);
        let mut violations: Vec<_> = self
            .modules()
            .into_iter()
            .filter(|name| row(name).is_none())
            .map(|name| format!("{name} is not in the table"))
            .collect();
        for Import { from, to, place } in self.imports() {
            let may = row(&from).is_some_and(|may| may.contains(&to.as_str()));
            let accepted = accepted.iter().any(|(of, what, _)| *of == from && *what == to);
            if !may && !accepted {
                violations.push(format!("{place}: {from} imports {to}"));
            }
        }
        violations
    }

    fn name_violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for file in self.0.iter().filter(|file| !file.module.is_empty()) {
            let module = file.module[0].as_str();
            let only = ONLY_IN.iter().filter(|(_, may)| !may.contains(&module)).map(|(name, _)| *name);
            let never = NEVER_IN.iter().filter(|(_, not)| not.contains(&module)).map(|(name, _)| *name);
            for name in only.chain(never).chain(NOWHERE.iter().copied()) {
                violations.extend(
                    file.uses(name).map(|line| format!("{}:{line}: {module} uses {name}", file.path.display())),
                );
            }
        }
        violations
    }
}

impl File {
    /// Every top-level module that a path in this file leads to, or `crate` if it leads to the root itself.
    fn imports(&self, modules: &BTreeSet<String>) -> Vec<Import> {
        let from = self.module.first().cloned().unwrap_or_else(|| "lib".into());
        let import = |(path, line): (Vec<String>, usize)| {
            let first = path.into_iter().next().unwrap_or_else(|| "crate".into());
            let to = if modules.contains(&first) { first } else { "crate".into() };
            Import { from: from.clone(), to, place: format!("{}:{line}", self.path.display()) }
        };
        self.paths().into_iter().map(import).collect()
    }

    /// All paths that begin with `crate`, `self` or `super`, from the root of the crate.
    fn paths(&self) -> Vec<(Vec<String>, usize)> {
        let mut paths = Vec::new();
        let (mut inline, mut depth) = (Vec::<(String, usize)>::new(), 0);
        let mut at = 0;
        while let Some(Token { text, line }) = self.tokens.get(at) {
            let module: Vec<_> =
                self.module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
            match text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(_, opened)| *opened == depth);
                }
                "mod" if self.text(at + 2) == "{" => inline.push((self.text(at + 1).to_owned(), depth)),
                "use" if self.text(at.wrapping_sub(1)) != "<" => {
                    let mut leaves = Vec::new();
                    at = use_tree(&self.tokens, at + 1, &[], &mut leaves);
                    paths.extend(leaves.into_iter().filter_map(|leaf| Some((resolve(&leaf, &module)?, *line))));
                    continue;
                }
                "crate" | "self" | "super" | "ade"
                    if self.text(at + 1) == "::" && self.text(at.wrapping_sub(1)) != "::" =>
                {
                    let mut leaf = Vec::new();
                    at = use_tree(&self.tokens, at, &[], &mut leaf);
                    paths.extend(leaf.into_iter().filter_map(|leaf| Some((resolve(&leaf, &module)?, *line))));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// The lines in which a name is used: `a::b`, `a::` with anything behind, `a*` as the beginning of a name.
    fn uses(&self, name: &str) -> impl Iterator<Item = usize> {
        let wanted: Vec<_> = tokens(name.trim_end_matches('*')).into_iter().map(|token| token.text).collect();
        let begins = name.ends_with('*');
        self.tokens.windows(wanted.len()).filter_map(move |window| {
            let same = window.iter().zip(&wanted).all(|(token, wanted)| {
                if begins { token.text.starts_with(wanted.as_str()) } else { token.text == *wanted }
            });
            same.then_some(window[0].line)
        })
    }
}

/// Reads a path, or a tree of paths in braces, from `at`; says where it ends.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let is_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    loop {
        match tokens.get(at).map_or("", |token| &token.text) {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = use_tree(tokens, at, &path, leaves);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            "::" => {}
            "*" => path.push("*".into()),
            name if is_name(name) => path.push(name.into()),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") && tokens[at - 1].text != "::" {
            break;
        }
    }
    leaves.push(path);
    if tokens.get(at).is_some_and(|token| token.text == "as") {
        at += 2;
    }
    // A tree that cannot be read must not be read for ever.
    at.max(1)
}

/// From the root of this crate; none if the path leads out of it.
fn resolve(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let (mut base, mut rest) = match path.split_first()? {
        (first, rest) if first == "crate" || (first == "ade" && module.first().is_some_and(|name| name == "main")) => {
            (Vec::new(), rest)
        }
        (first, rest) if first == "self" => (module.to_vec(), rest),
        (first, _) if first == "super" => (module.to_vec(), path),
        _ => return None,
    };
    while rest.first().is_some_and(|part| part == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend(rest.iter().filter(|part| *part != "self").cloned());
    Some(base)
}

/// A way through imports that comes back to where it began.
fn cycle(imports: &[Import]) -> Option<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    next.keys().find_map(|start| {
        let mut ways = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for to in next.get(way.last().expect("a way has a start")).into_iter().flatten() {
                let longer = [&way[..], &[*to]].concat();
                if to == start {
                    return Some(longer.into_iter().map(String::from).collect());
                }
                if seen.insert(*to) {
                    ways.push(longer);
                }
            }
        }
        None
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => collect(&path, files),
            Some(extension) if extension == "rs" => files.push(path),
            _ => {}
        }
    }
}

fn is_root_of_folder(path: &Path) -> bool {
    ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| path.ends_with(name))
}

fn module_of(path: &Path) -> Vec<String> {
    let stem = path.with_extension("");
    let mut module: Vec<_> = stem.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    module.pop_if(|last| last == "mod" || last == "lib");
    module
}

/// Leaves out every item behind `#[cfg(test)]`, and tells the names of modules among them that are files.
fn without_tests(tokens: Vec<Token>, mut file_of_tests: impl FnMut(&str)) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked =
            tokens[at..].len() > MARK.len() && tokens[at..].iter().zip(MARK).all(|(token, mark)| token.text == mark);
        if !marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(&tokens, at + MARK.len());
        let item = &tokens[at + MARK.len()..end];
        if let Some(name) = item.iter().position(|token| token.text == "mod").filter(|_| tokens[end - 1].text == ";") {
            file_of_tests(&item[name + 1].text);
        }
        at = end;
    }
    kept
}

/// Behind the `;` or the closing brace of the item that begins here, with its further attributes.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// Names, `::` and single signs; no comments, no literals.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (size, token) = match first {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            _ if rest.starts_with("/*") => (end_of_comment(rest), false),
            _ if raw_string(rest).is_some() => (raw_string(rest).unwrap(), false),
            '"' => (end_of_quoted(rest, '"'), false),
            '\'' if is_char(rest) => (end_of_quoted(rest, '\''), false),
            _ if name > 0 => (name, true),
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        if token {
            tokens.push(Token { text: rest[..size].into(), line });
        }
        line += rest[..size].matches('\n').count();
        rest = &rest[size..];
    }
    tokens
}

fn end_of_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match &text.as_bytes()[at..] {
            [] => return at,
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The size of `r"..."`, `r#"..."#`, or one of bytes, at the beginning.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or(text.strip_prefix("r"))?;
    let hashes = body.find(|c| c != '#')?;
    body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - body.len() + hashes + 1;
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}

fn end_of_quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, next)) = chars.next() {
        match next {
            '\\' => drop(chars.next()),
            _ if next == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

#[cfg(test)]
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
    fn what_is_no_import_is_none() {
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
    fn a_path_through_the_root_is_no_way_around() {
        assert_eq!(targets("log/mod.rs", "use crate::*;"), ["crate"]);
        assert_eq!(targets("log/mod.rs", "use crate as all;"), ["crate"]);
        assert_eq!(targets("log/mod.rs", "use super::*;"), ["crate"]);
    }

    #[test]
    fn forbidden_unknown_and_accepted_are_told_apart() {
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
            assert_eq!(source(&[(path, text)]).name_violations().len(), 1, "{text}");
        }
        for (path, text) in [
            ("store/mod.rs", "use sea_orm::EntityTrait; fn f(row: entity::run::Model) {}"),
            ("main.rs", "fn main() { std::env::vars_os(); }"),
            ("http/mod.rs", "fn f() { x.unwrap_or(y) } // todo! .unwrap()"),
            ("http/mod.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }"),
        ] {
            assert_eq!(source(&[(path, text)]).name_violations(), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_file_that_is_only_for_tests_is_left_out() {
        let planted =
            source(&[("store/mod.rs", "#[cfg(test)]\nmod fixture;"), ("store/fixture.rs", "fn f() { x.unwrap() }")]);
        assert_eq!(planted.name_violations(), [""; 0]);
        let planted = source(&[("store/mod.rs", "mod fixture;"), ("store/fixture.rs", "fn f() { x.unwrap() }")]);
        assert_eq!(planted.name_violations().len(), 1);
    }
}
