//! What is changed in an engine's event: as little as the contract names, and nothing else, not even the spelling
//! of a number or the order of keys.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use aho_corasick::{AhoCorasick, MatchKind};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// How the run's directory and the staged documents are called to the outside.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Each with a `/` at its end, the longest first.
    roots: Vec<String>,
    /// Staged name to original name.
    documents: BTreeMap<String, String>,
    texts: Option<Texts>,
}

/// What is replaced in texts, all of it in one pass.
#[derive(Debug, Clone)]
struct Texts {
    patterns: AhoCorasick,
    replacements: Vec<String>,
}

impl Names {
    /// `directories` are the spellings of the run's directory (as given, and with links resolved).
    pub fn new(directories: impl IntoIterator<Item = String>, documents: BTreeMap<String, String>) -> Self {
        let with_end = |directory: String| format!("{}/", directory.trim_end_matches('/'));
        let mut roots: Vec<_> = directories.into_iter().map(with_end).filter(|root| root != "/").collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
        roots.dedup();
        let texts = Texts::new(&roots, &documents);
        Self { roots, documents, texts }
    }

    /// A document's original name, or the path relative to the run's directory; what lies elsewhere stays.
    pub fn path<'a>(&'a self, path: &'a str) -> &'a str {
        let staged = self.staged(path);
        self.documents.get(staged).map_or_else(|| self.relative(path), String::as_str)
    }

    /// The name that a document is staged under, however an engine spells its path; so it tells two documents of one
    /// name apart.
    pub fn staged<'a>(&self, path: &'a str) -> &'a str {
        let relative = self.relative(path);
        relative.strip_prefix("input/").unwrap_or(relative)
    }

    fn relative<'a>(&self, path: &'a str) -> &'a str {
        self.roots.iter().find_map(|root| path.strip_prefix(root.as_str())).unwrap_or(path)
    }

    /// A text for people, in which paths and staged names may stand anywhere.
    pub fn message(&self, text: &str) -> String {
        match &self.texts {
            Some(texts) => texts.patterns.replace_all(text, &texts.replacements),
            None => text.to_owned(),
        }
    }

    /// Whether a payload may hold something to rewrite; a cheap look at its bytes.
    pub fn concern(&self, payload: &str) -> bool {
        let is_named = || self.texts.as_ref().is_some_and(|texts| texts.patterns.is_match(payload));
        memchr::memmem::find(payload.as_bytes(), b"\"source_file\"").is_some() || is_named()
    }
}

impl Texts {
    fn new(roots: &[String], documents: &BTreeMap<String, String>) -> Option<Self> {
        let (mut patterns, mut replacements) = (Vec::new(), Vec::new());
        let roots = || roots.iter().map(String::as_str);
        for (staged, original) in documents {
            let below = std::iter::once("").chain(roots()).map(|root| format!("{root}input/{staged}"));
            patterns.extend(below.chain([staged.clone()]));
            replacements.resize(patterns.len(), original.clone());
        }
        patterns.extend(roots().map(str::to_owned));
        replacements.resize(patterns.len(), String::new());
        let mut builder = AhoCorasick::builder();
        let patterns = builder.match_kind(MatchKind::LeftmostLongest).build(patterns).ok()?;
        Some(Self { patterns, replacements })
    }
}

/// A JSON object whose values are not looked into.
#[derive(Debug, Default)]
pub struct RawObject<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'a> RawObject<'a> {
    /// `None` for anything but an object.
    pub fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// The value as a `T`, if it is one.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// In the key's place, or at the end.
    pub fn set(&mut self, key: &str, value: &impl Serialize) {
        let value = Cow::Owned(to_raw_value(value).expect("plain values serialise to JSON"));
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some((name, _)) = self.0.iter_mut().find(|(name, _)| name == from) {
            *name = to.to_owned();
        }
    }

    pub fn without(mut self, keys: &[&str]) -> Self {
        self.0.retain(|(name, _)| !keys.contains(&name.as_str()));
        self
    }

    pub fn to_raw(&self) -> Box<RawValue> {
        to_raw_value(self).expect("an object of JSON values is JSON")
    }

    /// Puts the names of the outside into the keys that hold paths.
    pub fn rename_paths(&mut self, names: &Names) {
        if let Some(path) = self.read::<String>("source_file") {
            self.set("source_file", &names.path(&path));
        }
        for key in ["output_paths", "processed_files"] {
            if let Some(paths) = self.read::<Vec<String>>(key) {
                self.set(key, &paths.iter().map(|path| names.path(path)).collect::<Vec<_>>());
            }
        }
    }
}

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(String, Cow<'de, RawValue>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut places) = (Self::Value::new(), HashMap::new());
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    // Of equal keys the last counts, as for most readers.
                    match places.get(&name) {
                        Some(&place) => entries[place] = (name, Cow::Borrowed(value)),
                        None => {
                            places.insert(name.clone(), entries.len());
                            entries.push((name, Cow::Borrowed(value)));
                        }
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries).map(Self)
    }
}

/// So many files, sheets and ids of a run are distinguished.
const TOLD_APART: usize = 1 << 16;
/// Bytes of an engine's own id.
const ID_LENGTH: usize = 200;

/// Numbers files, sheets and tables of a run, so that no two tables share an id. What is known of each is a hash, and
/// of how many is bounded: an engine may tell of millions.
#[derive(Debug, Default)]
pub struct Tables {
    hasher: RandomState,
    files: HashMap<u64, u64>,
    /// The sheets seen of each file.
    sheets: HashMap<u64, u64>,
    /// How many sheets each file has.
    sheet_counts: HashMap<u64, u64>,
    given: HashSet<u64>,
    /// How often a place was told.
    told: HashMap<(u64, u64, u64), u64>,
    count: u64,
}

impl Tables {
    /// Brings a `run.table.summary` into the form of the contract, its paths as the engine wrote them.
    pub fn rewrite(&mut self, table: &mut RawObject<'_>, names: &Names) {
        if !table.has("metadata") {
            table.rename("details", "metadata");
        }
        let file = table.read::<String>("source_file").unwrap_or_default();
        let (file, sheet) = self.place(names.staged(&file), table.read("source_sheet"));
        let file = index(table, "file_index", file);
        let sheet = index(table, "sheet_index", sheet);
        let number = table.read::<u64>("table_index").unwrap_or(0);
        let id = self.id(table.read("table_id"), file, sheet, number);
        table.set("table_id", &id);
    }

    fn place(&mut self, file: &str, sheet: Option<String>) -> (u64, u64) {
        let next = self.files.len() as u64;
        let file = number(&mut self.files, self.hasher.hash_one(file), next);
        let next = self.sheet_counts.get(&file).copied().unwrap_or(0);
        let sheet = number(&mut self.sheets, self.hasher.hash_one((file, sheet)), next);
        if sheet == next && self.sheets.len() < TOLD_APART {
            self.sheet_counts.insert(file, next + 1);
        }
        (file, sheet)
    }

    /// An engine's own id stays when it is unique. `tbl_<n>` starts again with every sheet, so it never does.
    fn id(&mut self, own: Option<String>, file: u64, sheet: u64, table: u64) -> String {
        let restarts = |id: &str| id.strip_prefix("tbl_").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        self.count += 1;
        if let Some(own) = own.filter(|id| !restarts(id) && id.len() <= ID_LENGTH)
            && self.give(&own)
        {
            return own;
        }
        while self.told.len() < TOLD_APART && self.given.len() < TOLD_APART {
            let told = self.told.entry((file, sheet, table)).or_default();
            *told += 1;
            let again = if *told > 1 { format!("_{told}") } else { String::new() };
            let id = format!("tbl_{file}_{sheet}_{table}{again}");
            if self.give(&id) {
                return id;
            }
        }
        self.by_count()
    }

    /// Of more tables than are distinguished, each is known by how many came before it.
    fn by_count(&self) -> String {
        let mut id = format!("tbl_n{}", self.count);
        while self.given.contains(&self.hasher.hash_one(id.as_str())) {
            id.push('_');
        }
        id
    }

    fn give(&mut self, id: &str) -> bool {
        self.given.len() < TOLD_APART && self.given.insert(self.hasher.hash_one(id))
    }
}

/// The number of what has this hash; a new one is the next.
fn number(known: &mut HashMap<u64, u64>, hash: u64, next: u64) -> u64 {
    if known.len() >= TOLD_APART {
        return known.get(&hash).copied().unwrap_or(next);
    }
    *known.entry(hash).or_insert(next)
}

/// The engine's own index, or the counted one.
fn index(table: &mut RawObject<'_>, key: &str, counted: u64) -> u64 {
    table.read(key).unwrap_or_else(|| {
        table.set(key, &counted);
        counted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let documents = BTreeMap::from([("doc_1.csv".into(), "März \"x\".csv".into())]);
        Names::new(["/data/run/".into(), "/mnt/real/data/run".into()], documents)
    }

    #[test]
    fn paths_of_the_run_lose_their_folder() {
        let names = names();
        for (path, expected) in [
            ("/data/run/input/doc_1.csv", "März \"x\".csv"),
            ("/mnt/real/data/run/input/doc_1.csv", "März \"x\".csv"),
            ("doc_1.csv", "März \"x\".csv"),
            ("/data/run/output/normalized.xlsx", "output/normalized.xlsx"),
            ("/data/run2/output/x", "/data/run2/output/x"),
            ("other.csv", "other.csv"),
        ] {
            assert_eq!(names.path(path), expected);
        }
        let message =
            "cannot read '/data/run/input/doc_1.csv': doc_1.csv is broken, see /mnt/real/data/run/engine-logs";
        assert_eq!(names.message(message), "cannot read 'März \"x\".csv': März \"x\".csv is broken, see engine-logs");
    }

    #[test]
    fn an_object_keeps_order_numbers_and_unknown_keys() {
        let json = r#"{"z":1.10,"a":18446744073709551617,"source_file":"/data/run/output/x","n":null}"#;
        let mut object = RawObject::parse(json).unwrap();
        object.rename_paths(&names());
        assert_eq!(object.to_raw().get(), json.replace("/data/run/output/x", "output/x"));
        assert!(RawObject::parse("[1]").is_none());
    }

    fn table(tables: &mut Tables, json: &str) -> String {
        let mut object = RawObject::parse(json).unwrap();
        tables.rewrite(&mut object, &names());
        object.to_raw().get().to_owned()
    }

    #[test]
    fn table_ids_are_unique_in_the_run() {
        let mut tables = Tables::default();
        let mut id = |file: &str, sheet: &str, table_id: &str, index: u64| {
            let json = format!(
                r#"{{"table_id":"{table_id}","source_file":"{file}","source_sheet":"{sheet}","table_index":{index}}}"#
            );
            let value: serde_json::Value = serde_json::from_str(&table(&mut tables, &json)).unwrap();
            value["table_id"].as_str().unwrap().to_owned()
        };
        assert_eq!(id("a", "One", "tbl_0", 0), "tbl_0_0_0");
        assert_eq!(id("a", "One", "tbl_1", 1), "tbl_0_0_1");
        assert_eq!(id("a", "Two", "tbl_0", 0), "tbl_0_1_0");
        assert_eq!(id("b", "One", "tbl_0", 0), "tbl_1_0_0");
        assert_eq!(id("b", "One", "mine", 0), "mine");
        assert_eq!(id("b", "One", "mine", 1), "tbl_1_0_1");
        assert_eq!(id("a", "One", "tbl_0", 0), "tbl_0_0_0_2");
    }

    #[test]
    fn two_documents_of_one_name_are_two_files() {
        let documents = ["doc_1-a.csv", "doc_2-a.csv"].map(|staged| (staged.to_owned(), "a.csv".to_owned()));
        let names = Names::new(["/data/run".into()], documents.into());
        let mut tables = Tables::default();
        let mut told = |path: &str| {
            let json = format!(r#"{{"source_file":"{path}","source_sheet":null,"table_index":0}}"#);
            let mut object = RawObject::parse(&json).unwrap();
            tables.rewrite(&mut object, &names);
            object.rename_paths(&names);
            let told: serde_json::Value = serde_json::from_str(object.to_raw().get()).unwrap();
            (told["source_file"].as_str().unwrap().to_owned(), told["file_index"].as_u64().unwrap())
        };
        assert_eq!(told("/data/run/input/doc_1-a.csv"), ("a.csv".into(), 0));
        assert_eq!(told("doc_2-a.csv"), ("a.csv".into(), 1));
        assert_eq!(told("input/doc_1-a.csv"), ("a.csv".into(), 0));
    }

    #[test]
    fn millions_of_tables_have_ids_of_their_own_in_bounded_memory() {
        let mut tables = Tables::default();
        let mut ids = HashSet::new();
        tables.id(Some(format!("tbl_n{}", 3 * TOLD_APART)), 0, 0, 0);
        for n in 1..4 * TOLD_APART as u64 {
            let own = (n % 3 == 0).then(|| format!("own_{n}"));
            tables.place(&format!("file {n}"), Some(format!("sheet {n}")));
            assert!(ids.insert(tables.id(own, n, 0, 0)));
        }
        let kept = [tables.files.len(), tables.sheets.len(), tables.sheet_counts.len(), tables.given.len()];
        assert!(kept.iter().all(|&count| count <= TOLD_APART), "{kept:?}");
        assert!(tables.told.len() <= TOLD_APART);
        let long = tables.id(Some("x".repeat(ID_LENGTH + 1)), 0, 0, 0);
        assert!(long.len() <= ID_LENGTH);
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let mut object = RawObject::parse(r#"{"a":1,"table_id":"x","a":2,"table_id":"y"}"#).unwrap();
        object.set("table_id", &"z");
        assert_eq!(object.to_raw().get(), r#"{"a":2,"table_id":"z"}"#);
    }

    #[test]
    fn the_engines_own_places_are_kept() {
        let mut tables = Tables::default();
        let json = r#"{"table_id":"tbl_0","source_file":"a","source_sheet":null,"table_index":1,"file_index":4,"sheet_index":2,"details":{"header_row":1}}"#;
        let expected = r#"{"table_id":"tbl_4_2_1","source_file":"a","source_sheet":null,"table_index":1,"file_index":4,"sheet_index":2,"metadata":{"header_row":1}}"#;
        assert_eq!(table(&mut tables, json), expected);
    }
}
