//! The tables that a run found, and what they add up to per file and per field.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::event::payload::run::FieldInfo;

type Counts = BTreeMap<String, u64>;

/// Payload of `run.table.summary`, as far as it is summed.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    table_id: String,
    source_file: Option<String>,
    source_sheet: Option<String>,
    row_count: Option<u64>,
    #[serde(default)]
    mapping: Mapping,
    #[serde(default)]
    validation: Issues,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Mapping {
    #[serde(default)]
    mapped_columns: Vec<MappedColumn>,
    #[serde(default)]
    unmapped_columns: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
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

/// Counts of validation issues.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Issues {
    #[serde(default)]
    pub issues_total: u64,
    #[serde(default)]
    pub issues_by_severity: Counts,
    #[serde(default)]
    pub issues_by_code: Counts,
    #[serde(default)]
    issues_by_field: BTreeMap<String, FieldIssues>,
}

/// Engines count issues per field either as a number or in detail.
#[derive(Debug, Clone, Deserialize)]
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

impl Issues {
    pub fn max_severity(&self) -> Option<String> {
        let rank =
            |severity: &str| ["info", "warning", "error", "critical"].iter().position(|&known| known == severity);
        let present = self.issues_by_severity.iter().filter(|&(_, &count)| count > 0);
        present.map(|(severity, _)| severity).max_by_key(|severity| rank(severity)).cloned()
    }

    fn add(&mut self, other: &Self) {
        self.issues_total += other.issues_total;
        add(&mut self.issues_by_severity, &other.issues_by_severity);
        add(&mut self.issues_by_code, &other.issues_by_code);
    }

    fn add_field(&mut self, issues: &FieldIssues) {
        match issues {
            FieldIssues::Count(count) => self.issues_total += count,
            FieldIssues::Detail { issues_total, issues_by_severity, issues_by_code } => {
                self.issues_total += issues_total;
                add(&mut self.issues_by_severity, issues_by_severity);
                add(&mut self.issues_by_code, issues_by_code);
            }
        }
    }
}

fn add(into: &mut Counts, from: &Counts) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

/// All tables of a run, in the order they came; one per table id.
#[derive(Debug, Default)]
pub struct Tables {
    fields: Vec<FieldInfo>,
    tables: Vec<Table>,
    ids: BTreeSet<String>,
}

impl Tables {
    pub fn declare(&mut self, fields: Vec<FieldInfo>) {
        self.fields = fields;
    }

    pub fn add(&mut self, table: Table) {
        if self.ids.insert(table.table_id.clone()) {
            self.tables.push(table);
        }
    }

    pub fn count(&self) -> usize {
        self.tables.len()
    }

    /// Unknown as soon as one table's is.
    pub fn row_count(&self) -> Option<u64> {
        self.tables.iter().map(|table| table.row_count).sum()
    }

    pub fn sheet_count(&self) -> usize {
        let sheets = self.tables.iter().map(|table| (&table.source_file, &table.source_sheet));
        sheets.collect::<BTreeSet<_>>().len()
    }

    pub fn unmapped_column_count(&self) -> usize {
        self.tables.iter().map(|table| table.mapping.unmapped_columns.len()).sum()
    }

    pub fn issues(&self) -> Issues {
        let mut sum = Issues::default();
        self.tables.iter().for_each(|table| sum.add(&table.validation));
        sum
    }

    pub fn field_count(&self) -> usize {
        self.all_fields().len()
    }

    pub fn required_field_count(&self) -> usize {
        self.all_fields().iter().filter(|field| field.required).count()
    }

    pub fn mapped_field_count(&self) -> usize {
        self.all_fields().iter().filter(|info| self.columns_of(&info.field).any(MappedColumn::is_found)).count()
    }

    pub fn by_file(&self) -> Vec<Value> {
        let mut files: Vec<&Option<String>> = Vec::new();
        for table in &self.tables {
            if !files.contains(&&table.source_file) {
                files.push(&table.source_file);
            }
        }
        files.into_iter().map(|file| self.file(file)).collect()
    }

    fn file(&self, file: &Option<String>) -> Value {
        let tables: Vec<&Table> = self.tables.iter().filter(|table| &table.source_file == file).collect();
        let mut issues = Issues::default();
        tables.iter().for_each(|table| issues.add(&table.validation));
        json!({
            "source_file": file,
            "table_count": tables.len(),
            "row_count": tables.iter().map(|table| table.row_count).sum::<Option<u64>>(),
            "validation_issue_count_total": issues.issues_total,
            "issue_counts_by_severity": issues.issues_by_severity,
            "issue_counts_by_code": issues.issues_by_code,
        })
    }

    pub fn by_field(&self) -> Vec<Value> {
        self.all_fields().iter().map(|info| self.field(info)).collect()
    }

    fn field(&self, info: &FieldInfo) -> Value {
        let found = || self.columns_of(&info.field).filter(|column| column.is_found());
        let mut issues = Issues::default();
        for table in &self.tables {
            if let Some(field) = table.validation.issues_by_field.get(&info.field) {
                issues.add_field(field);
            }
        }
        json!({
            "field": info.field,
            "label": info.label,
            "required": info.required,
            "mapped": found().next().is_some(),
            "max_score": found().filter_map(|column| column.score).reduce(f64::max),
            "validation_issue_count_total": issues.issues_total,
            "issue_counts_by_severity": issues.issues_by_severity,
            "issue_counts_by_code": issues.issues_by_code,
        })
    }

    fn columns_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a MappedColumn> {
        self.tables.iter().flat_map(|table| &table.mapping.mapped_columns).filter(move |column| column.field == field)
    }

    /// The manifest's fields in its order, then fields that only tables name, sorted.
    fn all_fields(&self) -> Vec<FieldInfo> {
        let mut all = self.fields.clone();
        let seen = self.tables.iter().flat_map(|table| &table.mapping.mapped_columns);
        let extra: BTreeMap<&String, bool> = seen.map(|column| (&column.field, column.is_required)).collect();
        for (field, required) in extra {
            if !all.iter().any(|info| &info.field == field) {
                all.push(FieldInfo { field: field.clone(), label: None, required });
            }
        }
        all
    }
}
