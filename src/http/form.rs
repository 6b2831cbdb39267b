//! Forms: one file, and texts beside it.
//!
//! Invariant: input is bounded, and a part that would be ignored is refused. The file is written below the data
//! directory, where no link is followed, and is removed unless it has been moved to its final place.

use std::fs::File;
use std::io::{self, Write};

use actix_multipart::{Multipart, MultipartError};
use bytes::Bytes;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::problem::{Code, FieldError, Problem};
use super::respond::disposition::file_name;
use crate::blocking::blocking;
use crate::domain::text::clipped;
use crate::files::Location;

/// An uploaded file, kept under a generated name until it is moved to its final place.
#[derive(Debug)]
pub struct Upload {
    place: Location,
    /// As the client called it; data, never a path.
    pub name: String,
    pub content_type: String,
    pub byte_size: u64,
    pub sha256: String,
}

impl Upload {
    fn at(place: Location) -> Self {
        Self { place, name: String::new(), content_type: String::new(), byte_size: 0, sha256: String::new() }
    }

    /// Its content. Blocks.
    pub fn open(&self) -> io::Result<File> {
        self.place.file()
    }

    /// Puts it, durably, where it stays. Blocks.
    pub fn move_to(&self, place: &Location) -> io::Result<()> {
        let ((from, name), (to, to_name)) = (self.place.parent()?, place.make_parent()?);
        from.rename(name, &to, to_name)?;
        to.sync()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Gone already when it was moved.
        let _ = self.place.parent().and_then(|(dir, name)| dir.remove_file(name));
    }
}

/// The parts of a form: one file and plain texts.
#[derive(Debug, Default)]
pub struct Form {
    pub file: Option<Upload>,
    pub texts: Vec<(String, String)>,
}

impl Form {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a part of this name may come now.
    fn expects(&self, name: &str, texts: &[&str]) -> Result<(), Problem> {
        let is_there = if name == "file" { self.file.is_some() } else { self.text(name).is_some() };
        if is_there {
            return Err(part_problem(name, "duplicate_part", "the form has this part more than once"));
        }
        if name == "file" || texts.contains(&name) {
            return Ok(());
        }
        let known = [&["file"], texts].concat().join("`, `");
        Err(part_problem(name, "unknown_part", &format!("the form may have `{known}`")))
    }

    pub fn take_file(&mut self) -> Result<Upload, Problem> {
        let missing = || FieldError::new("file", "required", "a file is required");
        self.file.take().ok_or_else(|| Problem::new(Code::InvalidRequest, "the form has no `file`").error(missing()))
    }
}

const MAX_TEXT: usize = 64 << 10;
/// Characters, as in most file systems.
const MAX_FILE_NAME: usize = 255;

fn part_problem(name: &str, code: &str, message: &str) -> Problem {
    let name = clipped(name, 200);
    Problem::new(Code::InvalidRequest, format!("`{name}`: {message}")).error(FieldError::new(name, code, message))
}

/// A name is data; but it is shown, and passed to engines.
fn of_file_name(name: &str) -> Result<(), Problem> {
    let fits = name.chars().count() <= MAX_FILE_NAME && !name.chars().any(char::is_control);
    let allowed =
        format!("the name of the file must have at most {MAX_FILE_NAME} characters and no control characters");
    if fits { Ok(()) } else { Err(part_problem("file", "invalid_name", &allowed)) }
}

/// Reads a form; its file is streamed to `incoming`, at most `limit` bytes of it. Beside the file it may have texts of
/// these names, and nothing twice: what would be passed over is refused.
pub async fn read(mut multipart: Multipart, incoming: &Location, limit: u64, texts: &[&str]) -> Result<Form, Problem> {
    let broken = |error: &MultipartError| {
        let code = match error {
            MultipartError::ContentTypeMissing | MultipartError::ContentTypeIncompatible => Code::UnsupportedMediaType,
            _ => Code::BadRequest,
        };
        Problem::new(code, format!("the form cannot be read: {error}"))
    };
    let too_long = || format!("a text of at most {MAX_TEXT} bytes is expected");
    let mut form = Form::default();
    while let Some(mut field) = multipart.try_next().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.content_disposition().and_then(file_name);
        form.expects(&name, texts)?;
        if name == "file" {
            file_name.as_deref().map_or(Ok(()), of_file_name)?;
            let content_type = field.content_type().map_or("application/octet-stream".into(), ToString::to_string);
            let mut sink = Sink::create(incoming, limit).await?;
            while let Some(chunk) = field.try_next().await.map_err(|error| broken(&error))? {
                sink = sink.write(chunk).await?;
            }
            form.file = Some(sink.finish(file_name.unwrap_or_default(), content_type).await?);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.try_next().await.map_err(|error| broken(&error))? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_TEXT {
                return Err(Problem { code: Code::PayloadTooLarge, ..part_problem(&name, "too_long", &too_long()) });
            }
        }
        let text = String::from_utf8(text).map_err(|_| part_problem(&name, "invalid_value", "UTF-8 is expected"))?;
        form.texts.push((name, text));
    }
    Ok(form)
}

/// Takes a file chunk by chunk on the blocking pool.
struct Sink {
    file: File,
    upload: Upload,
    digest: Sha256,
    limit: u64,
}

impl Sink {
    async fn create(incoming: &Location, limit: u64) -> Result<Self, Problem> {
        let (incoming, name) = (incoming.clone(), ulid::Ulid::generate().to_string());
        // Both at once: a request that is dropped in between must not leave a file that is never removed.
        let created = blocking(move || {
            let file = incoming.make()?.create(&name)?;
            Ok((file, Upload::at(incoming.join(name))))
        });
        let (file, upload) = created.await.map_err(Problem::internal)?;
        Ok(Self { file, upload, digest: Sha256::new(), limit })
    }

    async fn write(mut self, chunk: Bytes) -> Result<Self, Problem> {
        self.upload.byte_size += chunk.len() as u64;
        if self.upload.byte_size > self.limit {
            return Err(Problem::new(Code::PayloadTooLarge, format!("the file is larger than {} bytes", self.limit)));
        }
        let written = blocking(move || {
            self.digest.update(&chunk);
            self.file.write_all(&chunk)?;
            Ok(self)
        });
        written.await.map_err(Problem::internal)
    }

    async fn finish(self, name: String, content_type: String) -> Result<Upload, Problem> {
        let Self { file, mut upload, digest, .. } = self;
        blocking(move || file.sync_all()).await.map_err(Problem::internal)?;
        upload.name = name;
        upload.content_type = content_type;
        upload.sha256 = format!("{:x}", digest.finalize());
        Ok(upload)
    }
}
