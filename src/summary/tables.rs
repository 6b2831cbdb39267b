//! The tables that a run found, and what they add up to per file and per field.
//!
//! Invariants: a table is looked at once, when it comes, and not kept; the work is linear in what it says. What is kept
//! is bounded ([`tally`](super::tally)), and what is left out is counted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::tally::{Beyond, Entries, Room, Tally};
use crate::event::payload::run::FieldInfo;

/// Bytes of JSON for the files, for the fields, and for the names that are counted in either.
const ENTRIES_ROOM: usize = 128 << 10;
const NAMES_ROOM: usize = 128 << 10;
/// Bytes of JSON for the codes, and for the severities, of the whole run.
const CODES_ROOM: usize = 32 << 10;
const SEVERITIES_ROOM: usize = 4 << 10;
/// Bytes of JSON of an entry beside its names.
const FILE_BYTES: usize = 260;
const FIELD_BYTES: usize = 260;

type Counts = BTreeMap<String, u64>;

/// Payload of `run.table.summary`, as far as it is summed.
#[derive(Debug, Deserialize)]
pub struct Table {
    source_file: Option<String>,
    file_index: Option<u64>,
    source_sheet: Option<String>,
    row_count: Option<u64>,
    #[serde(default)]
    mapping: Mapping,
    #[serde(default)]
    validation: Issues,
}

#[derive(Debug, Default, Deserialize)]
struct Mapping {
    #[serde(default)]
    mapped_columns: Vec<MappedColumn>,
    #[serde(default)]
    unmapped_columns: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct MappedColumn {
    field: String,
    source_column_index: Option<i64>,
    score: Option<f64>,
    #[serde(default)]
    is_required: bool,
}

impl MappedColumn {
    /// A field that was looked for and not found is listed too, at column -1.
    fn is_found(&self) -> bool {
        self.source_column_index.is_some_and(|index| index >= 0)
    }
}

/// Counts of validation issues, as an engine sends them.
#[derive(Debug, Default, Deserialize)]
pub struct Issues {
    #[serde(default)]
    issues_total: u64,
    #[serde(default)]
    issues_by_severity: Counts,
    #[serde(default)]
    issues_by_code: Counts,
    #[serde(default)]
    issues_by_field: BTreeMap<String, FieldIssues>,
}

/// Engines count issues per field either as a number or in detail.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FieldIssues {
    Count(u64),
    Detail {
        #[serde(default)]
        issues_total: u64,
        #[serde(default)]
        issues_by_severity: Counts,
        #[serde(default)]
        issues_by_code: Counts,
    },
}

/// Issues of the run, of a file or of a field, added up.
#[derive(Debug, Default)]
pub struct IssueSums {
    total: u64,
    by_severity: Tally,
    by_code: Tally,
}

impl IssueSums {
    /// What the engine says of the whole run.
    pub fn of_run(issues: &Issues) -> Self {
        let mut sums = Self::default();
        sums.add(issues, &mut Rooms::of_run());
        sums
    }

    pub fn max_severity(&self) -> Option<String> {
        let rank =
            |severity: &str| ["info", "warning", "error", "critical"].iter().position(|&known| known == severity);
        let present = self.by_severity.by_name().iter().filter(|&(_, &count)| count > 0);
        present.map(|(severity, _)| severity).max_by_key(|severity| rank(severity)).cloned()
    }

    /// Under the keys that the run, its files and its fields have in common.
    pub fn write(&self, into: &mut Value) {
        into["validation_issue_count_total"] = self.total.into();
        into["issue_counts_by_severity"] = json!(self.by_severity.by_name());
        into["issue_counts_by_code"] = json!(self.by_code.by_name());
    }

    /// Issues whose severity or code found no room.
    pub fn left_out(&self) -> (u64, u64) {
        (self.by_severity.others(), self.by_code.others())
    }

    fn add(&mut self, issues: &Issues, rooms: &mut Rooms) {
        self.add_counts(issues.issues_total, &issues.issues_by_severity, &issues.issues_by_code, rooms);
    }

    fn add_field(&mut self, issues: &FieldIssues, rooms: &mut Rooms) {
        match issues {
            FieldIssues::Count(count) => self.total = self.total.saturating_add(*count),
            FieldIssues::Detail { issues_total, issues_by_severity, issues_by_code } => {
                self.add_counts(*issues_total, issues_by_severity, issues_by_code, rooms);
            }
        }
    }

    fn add_counts(&mut self, total: u64, by_severity: &Counts, by_code: &Counts, rooms: &mut Rooms) {
        self.total = self.total.saturating_add(total);
        by_severity.iter().for_each(|(name, count)| self.by_severity.add(name, *count, &mut rooms.severities));
        by_code.iter().for_each(|(name, count)| self.by_code.add(name, *count, &mut rooms.codes));
    }
}

/// Room for the names of severities and codes, apart: the many codes must not crowd out the few severities.
#[derive(Debug)]
struct Rooms {
    severities: Room,
    codes: Room,
}

impl Rooms {
    fn of_run() -> Self {
        Self { severities: Room::new(SEVERITIES_ROOM), codes: Room::new(CODES_ROOM) }
    }

    fn of_breakdown() -> Self {
        Self { severities: Room::new(NAMES_ROOM / 4), codes: Room::new(NAMES_ROOM / 4 * 3) }
    }
}

/// A file by the place it first came at, so that two files of one name are two.
type FileKey = (Option<u64>, Option<String>);

#[derive(Debug, Default)]
struct File {
    /// Files are listed in the order in which they came.
    place: usize,
    tables: u64,
    rows: Rows,
    issues: IssueSums,
}

#[derive(Debug, Default)]
struct Field {
    /// In the manifest.
    place: Option<usize>,
    label: Option<String>,
    required: bool,
    /// Named by the manifest or by a column; one that only has issues is not listed.
    listed: bool,
    mapped: bool,
    max_score: Option<f64>,
    issues: IssueSums,
}

/// What is still known of a field that found no room.
#[derive(Debug, Default)]
struct LeftOut {
    required: bool,
    mapped: bool,
    listed: bool,
}

/// A sum of row counts: unknown as soon as one of them is.
#[derive(Debug, Clone, Copy)]
struct Rows(Option<u64>);

impl Default for Rows {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl Rows {
    fn add(&mut self, rows: Option<u64>) {
        self.0 = self.0.zip(rows).map(|(sum, rows)| sum.saturating_add(rows));
    }
}

/// What all tables of a run amount to.
#[derive(Debug)]
pub struct Tables {
    count: u64,
    unread: u64,
    rows: Rows,
    unmapped_columns: u64,
    /// Fields of the manifest that the log does not name.
    undeclared: u64,
    issues: IssueSums,
    sheets: Beyond,
    sheets_left_out: u64,
    files: Entries<FileKey, File>,
    fields: Entries<String, Field, LeftOut>,
    rooms: AllRooms,
}

#[derive(Debug)]
struct AllRooms {
    run: Rooms,
    files: Room,
    of_files: Rooms,
    fields: Room,
    of_fields: Rooms,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            count: 0,
            unread: 0,
            rows: Rows::default(),
            unmapped_columns: 0,
            undeclared: 0,
            issues: IssueSums::default(),
            sheets: Beyond::default(),
            sheets_left_out: 0,
            files: Entries::default(),
            fields: Entries::default(),
            rooms: AllRooms {
                run: Rooms::of_run(),
                files: Room::new(ENTRIES_ROOM),
                of_files: Rooms::of_breakdown(),
                fields: Room::new(ENTRIES_ROOM),
                of_fields: Rooms::of_breakdown(),
            },
        }
    }
}

impl Tables {
    /// The fields of the manifest; they come before the tables, and find room before their fields do.
    /// `more` of them are left out.
    pub fn declare(&mut self, fields: Vec<FieldInfo>, more: u64) {
        self.undeclared = more;
        self.fields.values_mut().for_each(|field| field.place = None);
        for (place, info) in fields.into_iter().enumerate() {
            let label = info.label.as_deref().map_or(0, str::len);
            match self.fields.entry(info.field.clone(), &info.field, FIELD_BYTES + label, &mut self.rooms.fields) {
                Ok(field) => {
                    (field.place, field.label, field.required, field.listed) =
                        (Some(place), info.label, info.required, true);
                }
                Err(Some(left_out)) => (left_out.required, left_out.listed) = (info.required, true),
                Err(None) => {}
            }
        }
    }

    /// Takes a table in; `None` for one that cannot be read, which counts as one of which nothing is known.
    pub fn add(&mut self, table: Option<Table>) {
        self.count += 1;
        let Some(table) = table else {
            self.unread += 1;
            self.rows.add(None);
            return;
        };
        self.rows.add(table.row_count);
        self.unmapped_columns += table.mapping.unmapped_columns.len() as u64;
        self.issues.add(&table.validation, &mut self.rooms.run);
        if self.sheets.note(&(table.file_index, &table.source_file, &table.source_sheet)).is_none() {
            self.sheets_left_out += 1;
        }
        table.mapping.mapped_columns.iter().for_each(|column| self.column(column));
        table.validation.issues_by_field.iter().for_each(|(field, issues)| self.field_issues(field, issues));
        self.file(table);
    }

    fn file(&mut self, table: Table) {
        let place = self.files.kept().len();
        let name = table.source_file.clone().unwrap_or_default();
        let key = (table.file_index, table.source_file);
        let Ok(file) = self.files.entry(key, &name, FILE_BYTES, &mut self.rooms.files) else { return };
        if file.tables == 0 {
            file.place = place;
        }
        file.tables += 1;
        file.rows.add(table.row_count);
        file.issues.add(&table.validation, &mut self.rooms.of_files);
    }

    fn column(&mut self, column: &MappedColumn) {
        let name = &column.field;
        match self.fields.entry(name.clone(), name, FIELD_BYTES, &mut self.rooms.fields) {
            Ok(field) => {
                field.listed = true;
                // The manifest knows better.
                if field.place.is_none() {
                    field.required = column.is_required;
                }
                if column.is_found() {
                    field.mapped = true;
                    field.max_score = field.max_score.into_iter().chain(column.score).reduce(f64::max);
                }
            }
            Err(Some(left_out)) => {
                left_out.listed = true;
                left_out.required |= column.is_required;
                left_out.mapped |= column.is_found();
            }
            Err(None) => {}
        }
    }

    fn field_issues(&mut self, name: &str, issues: &FieldIssues) {
        if let Ok(field) = self.fields.entry(name.to_owned(), name, FIELD_BYTES, &mut self.rooms.fields) {
            field.issues.add_field(issues, &mut self.rooms.of_fields);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Unknown as soon as one table's is.
    pub fn row_count(&self) -> Option<u64> {
        self.rows.0
    }

    pub fn sheet_count(&self) -> usize {
        self.sheets.count()
    }

    pub fn unmapped_column_count(&self) -> u64 {
        self.unmapped_columns
    }

    pub fn issues(&self) -> &IssueSums {
        &self.issues
    }

    pub fn field_count(&self) -> usize {
        self.count_fields(|_| true, |_| true)
    }

    pub fn required_field_count(&self) -> usize {
        self.count_fields(|field| field.required, |left_out| left_out.required)
    }

    pub fn mapped_field_count(&self) -> usize {
        self.count_fields(|field| field.mapped, |left_out| left_out.mapped)
    }

    fn count_fields(&self, of_kept: impl Fn(&Field) -> bool, of_left_out: impl Fn(&LeftOut) -> bool) -> usize {
        let kept = self.fields.kept().values().filter(|field| field.listed && of_kept(field)).count();
        kept + self.fields.left_out().iter().filter(|field| field.listed && of_left_out(field)).count()
    }

    pub fn by_file(&self) -> Vec<Value> {
        let mut files: Vec<_> = self.files.kept().iter().collect();
        files.sort_by_key(|(_, file)| file.place);
        files.into_iter().map(|((index, name), file)| shown_file(*index, name.as_deref(), file)).collect()
    }

    /// The manifest's fields in its order, then fields that only tables name, sorted.
    pub fn by_field(&self) -> Vec<Value> {
        let mut fields: Vec<_> = self.fields.kept().iter().filter(|(_, field)| field.listed).collect();
        fields.sort_by_key(|(_, field)| field.place.unwrap_or(usize::MAX));
        fields.into_iter().map(|(name, field)| shown_field(name, field)).collect()
    }

    /// What is left out, each with its count.
    pub fn left_out(&self, of_run: &IssueSums) -> [(&'static str, u64); 7] {
        let fields = self.fields.left_out().iter().filter(|field| field.listed).count() as u64;
        let of_files = self.files.kept().values().map(|file| file.issues.left_out());
        let of_fields = self.fields.kept().values().map(|field| field.issues.left_out());
        let in_breakdowns = of_files.chain(of_fields).map(|(by_severity, by_code)| by_severity.max(by_code));
        let (by_severity, by_code) = of_run.left_out();
        [
            ("files", self.files.left_out().count() as u64),
            ("fields", fields + self.undeclared),
            ("sheets", self.sheets_left_out),
            ("issues_by_severity", by_severity),
            ("issues_by_code", by_code),
            ("issues_in_breakdowns", in_breakdowns.fold(0, u64::saturating_add)),
            ("unread_tables", self.unread),
        ]
    }
}

fn shown_file(index: Option<u64>, name: Option<&str>, file: &File) -> Value {
    let mut shown =
        json!({"source_file": name, "file_index": index, "table_count": file.tables, "row_count": file.rows.0});
    file.issues.write(&mut shown);
    shown
}

fn shown_field(name: &str, field: &Field) -> Value {
    let mut shown = json!({
        "field": name, "label": field.label, "required": field.required, "mapped": field.mapped,
        "max_score": field.max_score,
    });
    field.issues.write(&mut shown);
    shown
}
