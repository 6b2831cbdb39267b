//! What may be said about a run: everything here ends up in the command line and the environment of its engine.
//!
//! Law: options that are accepted can be handed to a process, and never say what the service says itself.

use super::run::RunOptions;

/// Keys that the service gives the engine itself.
const RESERVED: &[&str] = &[
    "run_id",
    "build_id",
    "workspace_id",
    "configuration_id",
    "context_configuration_id",
    "document_id",
    "document_ids",
    "document_name",
    "document_names",
];

pub const MAX_DOCUMENTS: usize = 1000;
const MAX_METADATA: usize = 100;
const MAX_SHEETS: usize = 200;
/// Characters.
const MAX_KEY: usize = 128;
const MAX_SHEET: usize = 255;
/// Bytes. The kernel takes 128 KiB in one argument and 2 MiB in all, the environment included.
const MAX_VALUE: usize = 16 << 10;
const MAX_ALL_METADATA: usize = 64 << 10;
const MAX_ALL_SHEETS: usize = 32 << 10;

/// A place in the options, and what must be there.
pub type Fault = (String, String);

impl RunOptions {
    /// Everything that is wrong, each at its place, such as `metadata.run_id`.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.metadata_faults();
        faults.extend(self.sheet_faults());
        if self.document_ids.len() > MAX_DOCUMENTS {
            faults.push(("document_ids".into(), format!("at most {MAX_DOCUMENTS} documents")));
        }
        faults
    }

    fn metadata_faults(&self) -> Vec<Fault> {
        let pairs = self.metadata.iter();
        let of_pair = |(key, value): (&String, &String)| {
            let wrong = of_key(key).or_else(|| of_value(value))?;
            Some((format!("metadata.{}", super::text::clipped(key, 200)), wrong))
        };
        let mut faults: Vec<Fault> = pairs.clone().filter_map(of_pair).take(MAX_METADATA).collect();
        let bytes: usize = pairs.map(|(key, value)| key.len() + value.len() + 1).sum();
        if self.metadata.len() > MAX_METADATA {
            faults.push(("metadata".into(), format!("at most {MAX_METADATA} keys")));
        }
        if bytes > MAX_ALL_METADATA {
            faults.push(("metadata".into(), format!("at most {MAX_ALL_METADATA} bytes of keys and values")));
        }
        faults
    }

    fn sheet_faults(&self) -> Vec<Fault> {
        let names = || self.input_sheet_names.iter();
        let is_name =
            |name: &String| (1..=MAX_SHEET).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let allowed = || format!("a name of 1 to {MAX_SHEET} characters without control characters");
        let wrong = names().enumerate().filter(|(_, name)| !is_name(name));
        let wrong = wrong.map(|(index, _)| (format!("input_sheet_names[{index}]"), allowed()));
        let mut faults: Vec<Fault> = wrong.take(MAX_SHEETS).collect();
        if names().count() > MAX_SHEETS {
            faults.push(("input_sheet_names".into(), format!("at most {MAX_SHEETS} names")));
        }
        if names().map(String::len).sum::<usize>() > MAX_ALL_SHEETS {
            faults.push(("input_sheet_names".into(), format!("at most {MAX_ALL_SHEETS} bytes of names")));
        }
        faults
    }
}

fn of_key(key: &str) -> Option<String> {
    let is_plain = |c: char| !c.is_control() && c != '=';
    if RESERVED.contains(&key) {
        return Some("another key: this one is the service's own".into());
    }
    let fits = (1..=MAX_KEY).contains(&key.chars().count()) && key.chars().all(is_plain);
    let fits = fits && key.trim() == key && !key.starts_with('-');
    let allowed = format!(
        "a key of 1 to {MAX_KEY} characters, without `=`, control characters, spaces around it or a leading `-`"
    );
    (!fits).then_some(allowed)
}

fn of_value(value: &str) -> Option<String> {
    let is_text = |c: char| !c.is_control() || "\t\n\r".contains(c);
    let fits = value.len() <= MAX_VALUE && value.chars().all(is_text);
    (!fits).then(|| format!("a text of at most {MAX_VALUE} bytes without control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DocumentId;

    fn places(options: RunOptions) -> Vec<String> {
        options.faults().into_iter().map(|(place, _)| place).collect()
    }

    fn with(key: &str, value: &str) -> RunOptions {
        RunOptions { metadata: [(key.to_owned(), value.to_owned())].into(), ..RunOptions::default() }
    }

    #[test]
    fn metadata_can_be_an_argument_and_is_nothing_of_the_services() {
        for (key, value) in
            [("k", ""), ("k e-y.1", "--v=1"), ("\u{e4}", "a\n\tb"), ("RUN_ID", "x"), ("k", &"v".repeat(MAX_VALUE))]
        {
            assert_eq!(places(with(key, value)), [""; 0], "{key} {value}");
        }
        let long = "k".repeat(MAX_KEY + 1);
        for key in RESERVED.iter().copied().chain(["", " ", "a=b", "=", "a\0", "a\n", "--k", " k", &long]) {
            assert_eq!(places(with(key, "v")), [format!("metadata.{key}")], "{key:?}");
        }
        for value in ["\0", "a\u{1b}b", &"v".repeat(MAX_VALUE + 1)] {
            assert_eq!(places(with("k", value)), ["metadata.k"]);
        }
    }

    #[test]
    fn there_is_a_limit_to_how_much_is_said() {
        let pairs = |count: usize, length: usize| RunOptions {
            metadata: (0..count).map(|n| (format!("k{n}"), "v".repeat(length))).collect(),
            ..RunOptions::default()
        };
        assert_eq!(places(pairs(MAX_METADATA, 1)), [""; 0]);
        assert_eq!(places(pairs(MAX_METADATA + 1, 1)), ["metadata"]);
        assert_eq!(places(pairs(5, MAX_VALUE)), ["metadata"]);
        let sheets = |names: Vec<String>| RunOptions { input_sheet_names: names, ..RunOptions::default() };
        assert_eq!(places(sheets(vec!["One".into(), "-x".into()])), [""; 0]);
        assert_eq!(
            places(sheets(vec!["One".into(), "".into(), "a\0".into()])),
            ["input_sheet_names[1]", "input_sheet_names[2]"]
        );
        assert_eq!(places(sheets(vec!["n".into(); MAX_SHEETS + 1])), ["input_sheet_names"]);
        assert_eq!(places(sheets(vec!["\u{1f600}".repeat(MAX_SHEET); 40])), ["input_sheet_names"]);
        let document_ids = (0..=MAX_DOCUMENTS).map(|_| DocumentId::generate()).collect();
        assert_eq!(places(RunOptions { document_ids, ..RunOptions::default() }), ["document_ids"]);
    }
}
