//! Figures: a table for people, JSON lines for programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

pub struct Report {
    bench: &'static str,
    quick: bool,
    file: Option<PathBuf>,
    figures: Vec<Figure>,
}

struct Figure {
    name: String,
    unit: &'static str,
    runs: Vec<f64>,
}

impl Report {
    pub fn new(bench: &'static str, quick: bool, file: Option<PathBuf>) -> Self {
        Self { bench, quick, file, figures: Vec::new() }
    }

    /// Adds one run's value to a figure; figures stand in the order of their first values.
    pub fn add(&mut self, name: &str, unit: &'static str, value: f64) {
        eprintln!("  {name}: {} {unit}", number(value));
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.runs.push(value),
            None => self.figures.push(Figure { name: name.to_owned(), unit, runs: vec![value] }),
        }
    }

    /// Median and 99th percentile of one run, in milliseconds.
    pub fn add_latency(&mut self, name: &str, microseconds: &Histogram<u64>) {
        for (label, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let value = microseconds.value_at_quantile(quantile) as f64 / 1000.0;
            self.add(&format!("{name}, {label}"), "ms", value);
        }
    }

    /// The table on standard output, and the lines in the file.
    pub fn print(&self) {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_header(["figure", "median", "unit", "least", "most", "runs"]);
        for figure in &self.figures {
            let [median, least, most] =
                [figure.median(), figure.extreme(f64::min), figure.extreme(f64::max)].map(number);
            table.add_row([&figure.name, &median, figure.unit, &least, &most, &figure.runs.len().to_string()]);
        }
        for column in [1, 3, 4, 5] {
            table.column_mut(column).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        }
        println!("\n{}{}\n{table}", self.bench, if self.quick { " (quick: not to be quoted)" } else { "" });
        if let Err(error) = self.write() {
            eprintln!("the results could not be written: {error}");
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        for figure in &self.figures {
            writeln!(file, "{}", self.line(figure))?;
        }
        Ok(())
    }

    fn line(&self, figure: &Figure) -> Value {
        json!({
            "bench": self.bench, "figure": figure.name, "unit": figure.unit, "median": figure.median(),
            "runs": figure.runs, "quick": self.quick, "at": chrono::Utc::now().to_rfc3339(),
        })
    }
}

impl Figure {
    fn median(&self) -> f64 {
        median(&self.runs)
    }

    fn extreme(&self, pick: fn(f64, f64) -> f64) -> f64 {
        self.runs.iter().copied().reduce(pick).unwrap_or(f64::NAN)
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// Microseconds, from one to ten minutes.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are sound")
}

/// Four digits that count, and thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 1000.0 {
        let digits = (3 - value.abs().max(1e-3).log10().floor() as i32).clamp(0, 3) as usize;
        return format!("{value:.digits$}");
    }
    let mut text = format!("{value:.0}");
    let mut at = text.len();
    while at > 3 + usize::from(text.starts_with('-')) {
        at -= 3;
        text.insert(at, ',');
    }
    text
}
