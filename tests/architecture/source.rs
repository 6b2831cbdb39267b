//! Reads the source of a crate: which module names which other, and which names are used where.
//!
//! It reads tokens, not syntax trees: paths inside macros count too, and a syntax tree has none of those.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proc_macro2::{Delimiter, Punct, Spacing, Span, TokenStream, TokenTree};

/// Names, and the modules they belong to or are kept out of. `a::` is a path through `a`; `a*` is whatever begins so.
pub struct Rules<'a> {
    pub only_in: &'a [(&'a str, &'a [&'a str])],
    pub never_in: &'a [(&'a str, &'a [&'a str])],
    pub nowhere: &'a [&'a str],
}

/// The files of a crate that are not only for tests, without what in them is.
pub struct Source(pub(crate) Vec<File>);

pub struct File {
    pub path: PathBuf,
    /// `["http", "route", "runs"]`; `main.rs` is `["main"]`.
    pub module: Vec<String>,
    tokens: Vec<Token>,
}

/// A path as it is written, such as `super::output::say`.
pub struct Written {
    pub parts: Vec<String>,
    /// Where it is written: the file's module, or one inside the file.
    pub module: Vec<String>,
    pub line: usize,
    /// What a `use` makes of it; none of a path in code.
    pub import: Option<LocalName>,
}

/// The name that a `use` gives to what it leads to.
pub struct LocalName {
    pub name: String,
    pub exported: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// One module names another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub from: String,
    pub to: String,
    pub place: String,
}

impl Source {
    pub fn of_this_crate() -> &'static Self {
        static READ: LazyLock<Source> = LazyLock::new(Source::read);
        &READ
    }

    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let texts = files.into_iter().map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        });
        Self::parse(texts.collect())
    }

    pub fn parse(texts: Vec<(PathBuf, String)>) -> Self {
        let mut files = Vec::new();
        let mut only_for_tests = BTreeSet::new();
        for (path, text) in texts {
            let module = module_of(&path);
            let mut tokens = Vec::new();
            let trees = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            flatten(trees, &mut tokens, &mut |name| {
                let folder =
                    if is_root_of_folder(&path) { path.parent().unwrap().into() } else { path.with_extension("") };
                // Where a `#[path]` leads is beside the file.
                only_for_tests.extend([folder.join(format!("{name}.rs")), path.with_file_name(format!("{name}.rs"))]);
                only_for_tests.insert(folder.join(&name));
                only_for_tests
                    .insert(path.with_file_name(format!("{}_{name}.rs", path.file_stem().unwrap().display())));
            });
            files.push(File { path, module, tokens });
        }
        files.retain(|file| !file.path.ancestors().any(|path| only_for_tests.contains(path)));
        Self(files)
    }

    fn modules(&self) -> BTreeSet<String> {
        self.0.iter().filter_map(|file| file.module.first().cloned()).collect()
    }

    pub fn imports(&self) -> Vec<Import> {
        let modules = self.modules();
        let found = self.0.iter().flat_map(|file| file.imports(&modules));
        found.filter(|import| import.from != import.to).collect()
    }

    pub fn import_violations(&self, table: &[(&str, &[&str])], accepted: &[(&str, &str, &str)]) -> Vec<String> {
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

    pub fn name_violations(&self, rules: &Rules) -> Vec<String> {
        let mut violations = Vec::new();
        for file in self.0.iter().filter(|file| !file.module.is_empty()) {
            let module = file.module[0].as_str();
            let only = rules.only_in.iter().filter(|(_, may)| !may.contains(&module)).map(|(name, _)| *name);
            let never = rules.never_in.iter().filter(|(_, not)| not.contains(&module)).map(|(name, _)| *name);
            for name in only.chain(never).chain(rules.nowhere.iter().copied()) {
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
        let import = |path: Written| {
            let first = resolve(&path.parts, &path.module)?.into_iter().next().unwrap_or_else(|| "crate".into());
            let to = if modules.contains(&first) { first } else { "crate".into() };
            Some(Import { from: from.clone(), to, place: format!("{}:{}", self.path.display(), path.line) })
        };
        self.paths().into_iter().filter_map(import).collect()
    }

    /// All paths in the file: those of `use`, and those in code that have more than one part.
    pub fn paths(&self) -> Vec<Written> {
        let mut paths = Vec::new();
        let (mut inline, mut depth) = (Vec::<(String, usize)>::new(), 0);
        let mut at = 0;
        while let Some(Token { text, line }) = self.tokens.get(at) {
            let before = self.text(at.wrapping_sub(1));
            match text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(_, opened)| *opened == depth);
                }
                "mod" if self.text(at + 2) == "{" => inline.push((self.text(at + 1).to_owned(), depth)),
                // Not the `use<'a>` of a return type.
                "use" if self.text(at + 1) != "<" => {
                    let mut leaves = Vec::new();
                    let exported = matches!(before, "pub" | ")");
                    at = use_tree(&self.tokens, at + 1, &[], &mut leaves);
                    paths.extend(leaves.into_iter().map(|(parts, name)| Written {
                        parts,
                        module: self.module_at(&inline),
                        line: *line,
                        import: Some(LocalName { name, exported }),
                    }));
                    continue;
                }
                name if is_name(name) && self.text(at + 1) == "::" && before != "::" => {
                    let mut leaves = Vec::new();
                    at = use_tree(&self.tokens, at, &[], &mut leaves);
                    paths.extend(leaves.into_iter().map(|(parts, _)| Written {
                        parts,
                        module: self.module_at(&inline),
                        line: *line,
                        import: None,
                    }));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }

    fn module_at(&self, inline: &[(String, usize)]) -> Vec<String> {
        self.module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect()
    }

    /// Whether a name stands in the file's code by itself, outside of what it imports.
    pub fn mentions(&self, name: &str) -> bool {
        let mut in_use = false;
        self.tokens.iter().enumerate().any(|(at, token)| {
            match token.text.as_str() {
                "use" => in_use = true,
                ";" => in_use = false,
                _ => {}
            }
            !in_use && token.text == name && !matches!(self.text(at.wrapping_sub(1)), "::" | "." | "mod")
        })
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// The lines in which a name is used: `a::b`, `a::` with anything behind, `a*` as the beginning of a name.
    fn uses(&self, name: &str) -> impl Iterator<Item = usize> {
        let wanted = pattern(name);
        let begins = name.ends_with('*');
        self.tokens.windows(wanted.len()).filter_map(move |window| {
            let same = window.iter().zip(&wanted).all(|(token, wanted)| {
                if begins { token.text.starts_with(wanted.as_str()) } else { token.text == *wanted }
            });
            same.then_some(window[0].line)
        })
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A path's parts, and the name that it has in the file.
type Leaf = (Vec<String>, String);

/// Reads a path, or a tree of paths in braces, from `at`; says where it ends.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], leaves: &mut Vec<Leaf>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| &token.text);
    let mut path = prefix.to_vec();
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    let next = use_tree(tokens, at, &path, leaves);
                    // What is no path is passed over, as in the braces of a macro.
                    at = next + usize::from(text(next) == "," || next == at);
                }
                return at + 1;
            }
            "::" => {}
            "*" => path.push("*".into()),
            name if is_name(name) => path.push(name.into()),
            _ => break,
        }
        at += 1;
        if text(at) != "::" && text(at - 1) != "::" {
            break;
        }
    }
    path.pop_if(|last| last == "self" && !prefix.is_empty());
    let mut name = path.last().cloned().unwrap_or_default();
    if text(at) == "as" {
        name = text(at + 1).to_owned();
        at += 2;
    }
    leaves.push((path, name));
    // A tree that cannot be read must not be read for ever.
    at.max(1)
}

/// From the root of this crate; none if the path leads out of it.
pub fn resolve(path: &[String], module: &[String]) -> Option<Vec<String>> {
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
pub fn cycle(imports: &[Import]) -> Option<Vec<String>> {
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

/// Flattens trees into names, `::` and single signs, without literals, and without any item that only tests and fuzzers have. Modules
/// among those that are files are reported by their names.
fn flatten(trees: TokenStream, tokens: &mut Vec<Token>, file_of_tests: &mut impl FnMut(String)) {
    let trees: Vec<_> = trees.into_iter().collect();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if is_test_mark(&trees[at..]) {
            let end = end_of_item(&trees, at + 2);
            let name = trees[at..end].windows(2).find(|pair| pair[0].to_string() == "mod");
            if let Some(pair) = name.filter(|_| trees[end - 1].to_string() == ";") {
                file_of_tests(pair[1].to_string());
            }
            at = end;
            continue;
        }
        let mut push = |text: &str, span: Span| tokens.push(Token { text: text.into(), line: span.start().line });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, group.span_open());
                flatten(group.stream(), tokens, file_of_tests);
                tokens.push(Token { text: close.into(), line: group.span_close().start().line });
            }
            TokenTree::Ident(name) => push(name.to_string().trim_start_matches("r#"), name.span()),
            TokenTree::Punct(sign) if is_double_colon(sign, trees.get(at + 1)) => {
                push("::", sign.span());
                at += 1;
            }
            TokenTree::Punct(sign) => push(&sign.as_char().to_string(), sign.span()),
            TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

fn is_double_colon(sign: &Punct, next: Option<&TokenTree>) -> bool {
    let is_colon = |sign: &Punct| sign.as_char() == ':';
    is_colon(sign) && sign.spacing() == Spacing::Joint && matches!(next, Some(TokenTree::Punct(next)) if is_colon(next))
}

/// Whether `#[cfg(test)]`, or the like of what fuzzers have too, stands here.
fn is_test_mark(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    hash.as_char() == '#'
        && ["cfg(test)", "cfg(any(test,fuzzing))"].contains(&&*attribute.stream().to_string().replace(' ', ""))
}

/// Behind the `;` or the braces of the item that starts here, with its further attributes.
fn end_of_item(trees: &[TokenTree], from: usize) -> usize {
    let is_end = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        tree => tree.to_string() == ";",
    };
    trees[from..].iter().position(is_end).map_or(trees.len(), |at| from + at + 1)
}

/// The names and signs of a rule, which need not be balanced: `.send(`.
fn pattern(rule: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut words: Vec<String> = Vec::new();
    for c in rule.trim_end_matches('*').chars() {
        match words.last_mut() {
            Some(word) if is_name(c) && word.ends_with(is_name) => word.push(c),
            Some(word) if c == ':' && word == ":" => word.push(c),
            _ => words.push(c.into()),
        }
    }
    words
}
