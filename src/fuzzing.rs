//! Whatever reads bytes that somebody else has sent, each as a function of any bytes.
//!
//! Law: no bytes make one of these panic, and what it says of its results holds for all of them. The same functions run
//! under a fuzzer (`fuzz/run`) and, with the corpus that is checked in, as a test.
//!
//! Each stands beside what it tries. Only tests and fuzzers have them.

use std::path::PathBuf;

/// Tries what it is about with these bytes.
pub type Target = fn(&[u8]);

/// All of them. Each has a file in `fuzz/fuzz_targets`, and a folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("accept_and_ranges", crate::http::fuzz::accept_and_ranges),
    ("credentials", crate::http::fuzz::credentials),
    ("definitions", crate::workflow::fuzz::definitions),
    ("engine_lines", crate::worker::fuzz::engine_lines),
    ("event_filters", crate::http::fuzz::event_filters),
    ("file_names", crate::http::fuzz::file_names),
    ("forms", crate::http::fuzz::forms),
    ("json_bodies", crate::http::fuzz::json_bodies),
    ("list_filters", crate::http::list::fuzz::list_filters),
    ("list_queries", crate::http::list::fuzz::list_queries),
    ("model_replies", crate::workflow::fuzz::model_replies),
    ("provider_streams", crate::llm::fuzz::provider_streams),
    ("proxies", crate::http::fuzz::proxies),
    ("request_targets", crate::http::fuzz::request_targets),
    ("schemas", crate::workflow::fuzz::schemas),
    ("settings", crate::config::fuzz::settings),
    ("start_positions", crate::http::fuzz::start_positions),
    ("words", crate::domain::fuzz::words),
    ("zip_import", crate::package::fuzz::zip_import),
];

/// For the programs of `fuzz/fuzz_targets`.
///
/// # Panics
/// When the target finds something, or there is none of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
    target(bytes);
}

/// The first line, and what is behind it.
pub(crate) fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// A number that says how, and the rest.
pub(crate) fn first_byte(bytes: &[u8]) -> (usize, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (usize::from(*first), rest))
}

/// An empty directory of this thread's own.
pub(crate) fn scratch() -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let own = std::env::temp_dir().join(format!("ade-fuzz-{}-{thread}", std::process::id()));
    let _ = std::fs::remove_dir_all(&own);
    std::fs::create_dir_all(&own).expect("a directory can be made");
    own
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn below(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
    }

    fn names(folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(below(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_target_has_its_program_and_its_corpus() {
        let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("fuzz_targets"), known);
        assert_eq!(names("corpus"), known);
        for name in known {
            let program = fs::read_to_string(below(&format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("run(\"{name}\", bytes)")), "{name}");
        }
    }

    #[test]
    fn nothing_in_the_corpus_breaks_a_law() {
        for (name, target) in TARGETS {
            let files: Vec<_> =
                fs::read_dir(below("corpus").join(name)).unwrap().map(|it| it.unwrap().path()).collect();
            assert!(files.len() > 3, "{name} has a corpus");
            for file in files {
                let bytes = fs::read(&file).unwrap();
                let outcome = std::panic::catch_unwind(|| target(&bytes));
                assert!(outcome.is_ok(), "{}", file.display());
            }
        }
    }
}
