//! Zip files in and out.
//!
//! Invariant: names are judged before anything is written, every byte is counted as it is inflated, and what a header
//! says of sizes is never believed.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::check::{InvalidPackage, check_package};
use super::digest::digest_of;
use super::staging::Staging;
use super::tree::{TreeError, files, is_junk, is_junk_anywhere};
use crate::files::{Dir, Location};
use crate::unzip::{self, HEADER, OpenZipError};

/// What an imported zip file may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub zip_bytes: u64,
    pub unpacked_bytes: u64,
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { zip_bytes: 50 * 1024 * 1024, unpacked_bytes: 200 * 1024 * 1024, entries: 5000 }
    }
}

/// What an import has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    pub content_digest: String,
    pub files: usize,
    pub bytes: u64,
    /// Entries that are no part of a package: caches, build products and their like.
    pub skipped: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the zip file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the zip file unpacks to more than {limit} bytes")]
    UnpacksTooLarge { limit: u64 },
    #[error("the zip file has more than {limit} entries")]
    TooManyEntries { limit: usize },
    /// It leaves the directory, is absolute, a link, or no name for a file.
    #[error("the entry {path:?} has no allowed name or is a link")]
    PathNotAllowed { path: String },
    #[error("the entry {path:?} is there more than once")]
    Duplicate { path: String },
    #[error("the zip file holds no file to keep")]
    Empty,
    #[error("the file is not a readable zip file")]
    Unreadable(#[source] ZipError),
    #[error(transparent)]
    InvalidPackage(#[from] InvalidPackage),
    #[error("the package cannot be stored")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the zip file cannot be written")]
    Zip(#[from] ZipError),
    #[error("the zip file cannot be written")]
    Io(#[from] io::Error),
}

/// Unpacks a package into a directory that then holds exactly it. Whatever was there before stays when this fails.
pub fn import_zip(
    zip: impl Read + Seek,
    into: impl Into<Location>,
    limits: Limits,
) -> Result<ImportReport, ImportError> {
    let (staging, report) = stage_zip(zip, into, limits)?;
    staging.commit()?;
    Ok(report)
}

/// As [`import_zip`], but the package stays beside its place until it is committed.
pub fn stage_zip(
    zip: impl Read + Seek,
    into: impl Into<Location>,
    limits: Limits,
) -> Result<(Staging, ImportReport), ImportError> {
    let mut archive = open(zip, limits)?;
    let plan = plan(&mut archive)?;
    if plan.files.is_empty() {
        return Err(ImportError::Empty);
    }
    let staging = Staging::beside(into)?;
    let bytes = unpack(&mut archive, &plan, &staging, limits.unpacked_bytes)?;
    check_package(staging.dir())?;
    let content_digest = digest_of(staging.dir())?;
    Ok((staging, ImportReport { content_digest, files: plan.files.len(), bytes, skipped: plan.skipped }))
}

/// Packs a package. The same files give the same bytes.
pub fn export_zip<W: Write + Seek>(directory: impl Into<Location>, zip: W) -> Result<W, ExportError> {
    let directory = directory.into();
    let dir = directory.open().map_err(TreeError::io(directory.path()))?;
    Ok(pack_files(&dir, ZipWriter::new(zip), u64::MAX)?.finish()?)
}

/// The files of a package, of at most so many bytes in all.
pub(super) fn pack_files<W: Write + Seek>(
    dir: &Dir,
    mut writer: ZipWriter<W>,
    limit: u64,
) -> Result<ZipWriter<W>, ExportError> {
    let mut total = 0;
    for path in files(dir)? {
        let mut file = dir.file(&path).map_err(TreeError::io(&path))?;
        writer.start_file(path, SimpleFileOptions::default().unix_permissions(0o644))?;
        total += io::copy(&mut file, &mut writer).map_err(ZipError::from)?;
        if total > limit {
            return Err(TreeError::TooLarge(format!("a package has at most {limit} bytes")).into());
        }
    }
    Ok(writer)
}

pub(super) fn open<R: Read + Seek>(mut zip: R, limits: Limits) -> Result<ZipArchive<R>, ImportError> {
    if zip.seek(SeekFrom::End(0))? > limits.zip_bytes {
        return Err(ImportError::TooLarge { limit: limits.zip_bytes });
    }
    let archive = unzip::open(&mut zip, limits.entries)?;
    let (start, entries) = (archive.central_directory_start(), archive.len());
    refuse_repeated_headers(&mut zip, start, entries)?;
    ZipArchive::new(zip).map_err(ImportError::Unreadable)
}

impl From<OpenZipError> for ImportError {
    fn from(error: OpenZipError) -> Self {
        match error {
            OpenZipError::TooManyEntries { limit } => Self::TooManyEntries { limit },
            OpenZipError::Unreadable(error) => Self::Unreadable(error),
            OpenZipError::Io(error) => Self::Io(error),
        }
    }
}

/// The reader keeps one entry of a name, the last; only the headers themselves tell whether there were more.
fn refuse_repeated_headers(zip: &mut (impl Read + Seek), start: u64, entries: usize) -> Result<(), ImportError> {
    let mut names = HashSet::new();
    zip.seek(SeekFrom::Start(start))?;
    let mut directory = BufReader::new(zip);
    while let Some(name) = next_header(&mut directory).map_err(unreadable)? {
        let path = String::from_utf8_lossy(&name).into_owned();
        if !names.insert(name) {
            return Err(ImportError::Duplicate { path });
        }
    }
    if names.len() == entries { Ok(()) } else { Err(unreadable(io::ErrorKind::InvalidData.into())) }
}

/// The raw name of the entry whose header is next, or none when something else is next.
fn next_header(directory: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 46];
    directory.read_exact(&mut header[..4])?;
    if header[..4] != *HEADER {
        return Ok(None);
    }
    directory.read_exact(&mut header[4..])?;
    let length = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let mut name = vec![0; length(28).into()];
    directory.read_exact(&mut name)?;
    let rest = u64::from(length(30)) + u64::from(length(32));
    io::copy(&mut directory.take(rest), &mut io::sink())?;
    Ok(Some(name))
}

fn unreadable(error: io::Error) -> ImportError {
    ImportError::Unreadable(error.into())
}

/// Where each file of the package is in the zip file.
struct Plan {
    files: Vec<Entry>,
    skipped: usize,
}

struct Entry {
    index: usize,
    path: String,
    /// Not a link, nor a device.
    is_plain: bool,
}

fn plan<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Plan, ImportError> {
    let mut files = Vec::new();
    let mut entries = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(ImportError::Unreadable)?;
        let path = safe_path(entry.name())?;
        if !entry.is_dir() {
            entries += 1;
            files.push(Entry { index, path, is_plain: is_plain(entry.unix_mode()) });
        }
    }
    // What is junk anywhere must not hide the single directory; what is junk beside `pyproject.toml` shows after.
    files.retain(|entry| !is_within(&entry.path, is_junk_anywhere));
    strip_single_directory(&mut files);
    files.retain(|entry| !is_within(&entry.path, is_junk));
    refuse_links_and_clashes(&files)?;
    Ok(Plan { skipped: entries - files.len(), files })
}

/// The path an entry may be written to, relative, with neither `.` nor empty parts; empty for the directory itself.
fn safe_path(name: &str) -> Result<String, ImportError> {
    let not_allowed = || ImportError::PathNotAllowed { path: name.to_owned() };
    let is_drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let is_strange = name.contains(|c: char| c == '\\' || c.is_control());
    let is_long = name.len() > 1024 || name.split('/').any(|part| part.len() > 255);
    if name.starts_with('/') || is_drive || is_strange || is_long || name.split('/').any(|part| part == "..") {
        return Err(not_allowed());
    }
    let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() && !name.ends_with('/') { Err(not_allowed()) } else { Ok(parts.join("/")) }
}

/// Of an entry that is a file or a directory.
pub(super) fn plain_path<R: Read>(entry: &ZipFile<'_, R>) -> Result<String, ImportError> {
    let path = safe_path(entry.name())?;
    match path.is_empty() || !(entry.is_dir() || is_plain(entry.unix_mode())) {
        true => Err(ImportError::PathNotAllowed { path }),
        false => Ok(path),
    }
}

/// No mode at all is how other systems write plain files.
fn is_plain(unix_mode: Option<u32>) -> bool {
    matches!(unix_mode.unwrap_or(0) & 0o170_000, 0 | 0o100_000)
}

/// The file, or one of the directories it is in, is junk.
fn is_within(path: &str, is_junk: fn(&str, bool) -> bool) -> bool {
    let mut directories = path.match_indices('/').map(|(end, _)| &path[..end]);
    directories.any(|directory| is_junk(directory, true)) || is_junk(path, false)
}

/// A directory that was zipped as a whole: its files move up when they are a package.
fn strip_single_directory(files: &mut [Entry]) {
    let Some((top, _)) = files.first().and_then(|entry| entry.path.split_once('/')) else { return };
    let top = format!("{top}/");
    let is_package = files.iter().any(|entry| entry.path.strip_prefix(&top) == Some("pyproject.toml"));
    if is_package && files.iter().all(|entry| entry.path.starts_with(&top)) {
        for entry in files {
            entry.path.drain(..top.len());
        }
    }
}

fn refuse_links_and_clashes(files: &[Entry]) -> Result<(), ImportError> {
    let mut paths = HashSet::new();
    for Entry { path, is_plain, .. } in files {
        if !is_plain {
            return Err(ImportError::PathNotAllowed { path: path.clone() });
        }
        if !paths.insert(path.as_str()) {
            return Err(ImportError::Duplicate { path: path.clone() });
        }
    }
    // A name cannot be that of a file and of a directory.
    let clash = files.iter().find(|entry| is_under_a_file(&entry.path, &paths));
    clash.map_or(Ok(()), |entry| Err(ImportError::PathNotAllowed { path: entry.path.clone() }))
}

fn is_under_a_file(path: &str, files: &HashSet<&str>) -> bool {
    path.match_indices('/').any(|(end, _)| files.contains(&path[..end]))
}

/// Writes the files and gives their bytes in all.
fn unpack<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    plan: &Plan,
    staging: &Staging,
    limit: u64,
) -> Result<u64, ImportError> {
    let mut total = 0;
    for Entry { index, path, .. } in &plan.files {
        let mut content = archive.by_index(*index).map_err(ImportError::Unreadable)?;
        let mut file = staging.create(path)?;
        inflate(&mut content, &mut file, &mut total, limit)?;
    }
    Ok(total)
}

/// Copies one entry, counting; trouble with the zip file is told from trouble with the disk.
pub(super) fn inflate(
    from: &mut impl Read,
    to: &mut impl Write,
    total: &mut u64,
    limit: u64,
) -> Result<(), ImportError> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        *total += read as u64;
        if *total > limit {
            return Err(ImportError::UnpacksTooLarge { limit });
        }
        to.write_all(&chunk[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;
    use std::path::PathBuf;

    use memchr::memmem;

    use super::*;
    use crate::files::Dir;

    const PROJECT: (&str, &str) = ("pyproject.toml", "[project]\nname = \"ade_config\"\n");
    const MANIFEST: (&str, &str) = ("src/ade_config/manifest.json", "{}");

    /// A zip file of these entries; a name that ends with `/` is a directory.
    fn zip_of(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            if name.ends_with('/') {
                writer.add_directory(*name, SimpleFileOptions::default()).unwrap();
            } else {
                writer.start_file(*name, SimpleFileOptions::default()).unwrap();
                writer.write_all(content.as_bytes()).unwrap();
            }
        }
        writer.finish().unwrap().into_inner()
    }

    fn with(extra: &[(&str, &str)]) -> Vec<u8> {
        zip_of(&[&[PROJECT, MANIFEST], extra].concat())
    }

    /// A directory for one import, in a parent that shows what was left beside it.
    struct Target {
        parent: tempfile::TempDir,
    }

    impl Target {
        fn new() -> Self {
            Self { parent: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.parent.path().join("package")
        }

        fn import(&self, zip: &[u8], limits: Limits) -> Result<ImportReport, ImportError> {
            import_zip(Cursor::new(zip), self.path(), limits)
        }

        /// Whatever an import that failed has left.
        fn is_untouched(&self) -> bool {
            fs::read_dir(self.parent.path()).unwrap().count() == 0
        }
    }

    fn import(zip: &[u8]) -> Result<(Vec<String>, ImportReport), ImportError> {
        let target = Target::new();
        let report = target.import(zip, Limits::default());
        assert!(report.is_ok() || target.is_untouched());
        report.map(|report| (files(&Dir::root(&target.path()).unwrap()).unwrap(), report))
    }

    fn refusal(zip: &[u8]) -> ImportError {
        import(zip).expect_err("is refused")
    }

    #[test]
    fn a_package_is_unpacked_and_reported() {
        let (files, report) = import(&with(&[("src/ade_config/", ""), ("./src//ade_config/ä.py", "x = 1")])).unwrap();
        assert_eq!(files, ["pyproject.toml", "src/ade_config/manifest.json", "src/ade_config/ä.py"]);
        assert_eq!((report.files, report.skipped), (3, 0));
        assert_eq!(report.bytes as usize, PROJECT.1.len() + MANIFEST.1.len() + 5);
    }

    #[test]
    fn what_was_exported_is_imported_the_same_and_exports_are_stable() {
        let source = Target::new();
        let report =
            source.import(&with(&[("src/ade_config/a.py", "x = 1"), ("a-b", ""), ("a/b", "")]), Limits::default());
        let pack = || export_zip(source.path(), Cursor::new(Vec::new())).unwrap().into_inner();
        let (_, again) = import(&pack()).unwrap();
        assert_eq!(again, report.unwrap());
        assert_eq!(pack(), pack());
    }

    #[test]
    fn an_import_replaces_what_was_there_only_when_it_succeeds() {
        let target = Target::new();
        target.import(&with(&[("old.py", "")]), Limits::default()).unwrap();
        target.import(&with(&[("../x", "")]), Limits::default()).unwrap_err();
        assert!(target.path().join("old.py").exists());
        target.import(&with(&[("new.py", "")]), Limits::default()).unwrap();
        assert_eq!(
            files(&Dir::root(&target.path()).unwrap()).unwrap(),
            ["new.py", "pyproject.toml", "src/ade_config/manifest.json"]
        );
        assert_eq!(fs::read_dir(target.parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_single_folder_around_a_package_is_taken_off() {
        for top in ["members-1.0", "build"] {
            let (project, manifest) = (format!("{top}/{}", PROJECT.0), format!("{top}/{}", MANIFEST.0));
            let junk = format!("{top}/dist/x.whl");
            let zip = zip_of(&[(&project, PROJECT.1), (&manifest, "{}"), (&junk, ""), ("__MACOSX/x", "")]);
            let (files, report) = import(&zip).unwrap();
            assert_eq!(files, [PROJECT.0, MANIFEST.0], "{top}");
            assert_eq!(report.skipped, 2);
        }
    }

    #[test]
    fn names_that_leave_the_folder_or_are_no_names_are_refused() {
        let long = "x".repeat(256);
        let bad =
            ["../x", "a/../../x", "/etc/x", "C:x", "c:/x", "a\\b", "..\\x", "a\0b", "a\nb", ".git/../../x", &long];
        for name in bad {
            let error = refusal(&with(&[(name, "")]));
            assert!(matches!(error, ImportError::PathNotAllowed { .. }), "{name:?}: {error:?}");
        }
    }

    #[test]
    fn links_are_refused() {
        let mut writer = ZipWriter::new_append(Cursor::new(with(&[]))).unwrap();
        writer.add_symlink("src/secrets", "/etc", SimpleFileOptions::default()).unwrap();
        let error = refusal(&writer.finish().unwrap().into_inner());
        assert!(matches!(&error, ImportError::PathNotAllowed { path } if path == "src/secrets"), "{error:?}");
    }

    #[test]
    fn a_virtual_environment_with_its_links_is_skipped() {
        for directory in [".venv", "venv"] {
            let mut writer = ZipWriter::new_append(Cursor::new(with(&[]))).unwrap();
            let link = format!("{directory}/bin/python");
            writer.add_symlink(link, "/usr/bin/python3", SimpleFileOptions::default()).unwrap();
            assert_eq!(import(&writer.finish().unwrap().into_inner()).unwrap().1.skipped, 1);
        }
    }

    #[test]
    fn one_name_for_two_things_is_refused() {
        // The writer refuses a second entry of a name, so the name is changed in the bytes, in both headers.
        let mut zip = with(&[("a1.py", "first"), ("a2.py", "second")]);
        let second: Vec<_> = memmem::find_iter(&zip, "a2.py").collect();
        for at in second {
            zip[at + 1] = b'1';
        }
        assert!(matches!(refusal(&zip), ImportError::Duplicate { path } if path == "a1.py"));
        assert!(matches!(refusal(&with(&[("a//b", ""), ("a/b", "")])), ImportError::Duplicate { .. }));
        assert!(matches!(refusal(&with(&[("a", ""), ("a/b", "")])), ImportError::PathNotAllowed { .. }));
    }

    #[test]
    fn limits_hold_to_the_byte_and_to_the_entry() {
        let zip = with(&[("a.py", "0123456789")]);
        let bytes = (PROJECT.1.len() + MANIFEST.1.len() + 10) as u64;
        let exact = Limits { zip_bytes: zip.len() as u64, unpacked_bytes: bytes, entries: 3 };
        assert!(Target::new().import(&zip, exact).is_ok());
        let refused = |limits| Target::new().import(&zip, limits).unwrap_err();
        let smaller = Limits { zip_bytes: exact.zip_bytes - 1, ..exact };
        assert!(matches!(refused(smaller), ImportError::TooLarge { .. }));
        let smaller = Limits { unpacked_bytes: bytes - 1, ..exact };
        assert!(matches!(refused(smaller), ImportError::UnpacksTooLarge { .. }));
        assert!(matches!(refused(Limits { entries: 2, ..exact }), ImportError::TooManyEntries { .. }));
        assert!(matches!(refused(Limits { entries: 0, ..exact }), ImportError::TooManyEntries { .. }));
    }

    #[test]
    fn a_header_that_lies_about_the_size_changes_nothing() {
        let zeros = "0".repeat(1_000_000);
        let mut zip = with(&[("bomb", &zeros)]);
        let size = 1_000_000_u32.to_le_bytes();
        let claims: Vec<_> = memmem::find_iter(&zip, &size).collect();
        assert!(!claims.is_empty());
        for at in claims {
            zip[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
        }
        let target = Target::new();
        let error = target.import(&zip, Limits { unpacked_bytes: 100_000, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, ImportError::UnpacksTooLarge { .. }), "{error:?}");
        assert!(target.is_untouched());
    }

    #[test]
    fn what_is_no_zip_file_or_a_damaged_one_is_refused() {
        let whole = with(&[("a.py", &"abc".repeat(1000))]);
        let mut damaged = whole.clone();
        let content = memmem::find(&damaged, PROJECT.0.as_bytes()).unwrap() + PROJECT.0.len() + 3;
        damaged[content] ^= 0xff;
        for bad in [&b""[..], b"PK", b"hello", &whole[..whole.len() / 2], &damaged] {
            assert!(matches!(refusal(bad), ImportError::Unreadable(_)));
        }
    }

    #[test]
    fn what_is_no_package_is_refused_by_name() {
        for (zip, file) in [
            (zip_of(&[MANIFEST]), "pyproject.toml"),
            (zip_of(&[PROJECT]), "src/ade_config/manifest.json"),
            (zip_of(&[("pyproject.toml", "["), MANIFEST]), "pyproject.toml"),
            (zip_of(&[PROJECT, (MANIFEST.0, "{")]), "src/ade_config/manifest.json"),
        ] {
            let error = refusal(&zip);
            assert!(matches!(&error, ImportError::InvalidPackage(at) if at.file == file), "{error:?}");
        }
        for zip in [zip_of(&[]), zip_of(&[(".git/HEAD", "x")])] {
            assert!(matches!(refusal(&zip), ImportError::Empty));
        }
    }
}
