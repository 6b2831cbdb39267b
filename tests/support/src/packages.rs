//! Python packages for builds. Each gets the one build backend of the tests, which needs no network.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Files of a package, sorted: path and content.
pub type Files = Vec<(String, Vec<u8>)>;

const BACKEND: &str = include_str!("../backend.py");

/// The files of a package whose sources are in a directory, with the build backend.
pub fn package(sources: &Path) -> Files {
    with_file(files_below(sources), "backend.py", BACKEND)
}

/// The files below a directory, with what is in them; none when it does not exist.
pub fn files_below(root: &Path) -> Files {
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    let mut files: Files = paths_below(root).into_iter().map(named).collect();
    files.sort();
    files
}

/// The paths of the files below a directory, in their order; none when it does not exist.
pub fn paths_below(root: &Path) -> Vec<PathBuf> {
    let (mut paths, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { directories.push(path) } else { paths.push(path) }
        }
    }
    paths.sort();
    paths
}

/// A package's files with one of them replaced or added.
pub fn with_file(mut files: Files, name: &str, content: impl Into<Vec<u8>>) -> Files {
    files.retain(|(path, _)| path != name);
    files.push((name.to_owned(), content.into()));
    files.sort();
    files
}

pub fn write_files(directory: &Path, files: &Files) {
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub fn zip_of(files: &Files) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
