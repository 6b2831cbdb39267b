//! Reading requests: ids in paths, JSON bodies, uploaded files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use actix_multipart::{Multipart, MultipartError};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::body;
use super::problem::{Code, FieldError, Problem};
use super::query::RawQuery;
use super::respond::disposition::file_name;
use crate::domain::id::InvalidId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::precondition::Expected;
use crate::domain::text::clipped;

/// An id of the path.
pub fn id<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: InvalidId| Problem::new(Code::InvalidId, format!("`{text}` is {error}")))
}

/// A JSON body. Any other type is refused, not guessed: a form could come from a foreign page.
#[derive(Debug)]
pub struct Json(Bytes);

impl Json {
    /// One that is left out has its defaults.
    pub fn or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.0.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        self.required()
    }

    pub fn required<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        body::object(&self.0)
    }
}

impl FromRequest for Json {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request.content_type().to_ascii_lowercase();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            let is_json = content_type == "application/json" || content_type.ends_with("+json");
            if is_json || body.is_empty() {
                return Ok(Self(body));
            }
            Err(Problem::new(Code::UnsupportedMediaType, "the body must be application/json").into())
        })
    }
}

/// For a member that may be left out: it is told apart from one that is null.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A text of 1 to `most` characters, all of them visible or spaces.
pub fn label(path: &str, text: &str, most: usize) -> Result<(), Problem> {
    let is_label = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let allowed = || format!("a text of 1 to {most} characters without control characters");
    if is_label { Ok(()) } else { Err(Problem::invalid(path, allowed())) }
}

/// A text that somebody may give, such as a reason: at most so many characters, of which line ends are the only ones
/// that control anything.
pub fn remark(path: &str, text: Option<&str>, most: usize) -> Result<(), Problem> {
    let is_text = |c: char| !c.is_control() || "\t\n\r".contains(c);
    let fits = text.is_none_or(|text| text.chars().count() <= most && text.chars().all(is_text));
    let allowed = || format!("a text of at most {most} characters without control characters");
    if fits { Ok(()) } else { Err(Problem::invalid(path, allowed())) }
}

/// A file that came in, kept under a name of ours until somebody moves it to its place.
#[derive(Debug)]
pub struct Upload {
    pub path: PathBuf,
    /// As the client called it; data, never a path.
    pub name: String,
    pub content_type: String,
    pub byte_size: u64,
    pub sha256: String,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Gone already when it was moved to its place.
        let _ = std::fs::remove_file(&self.path);
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
            return Err(part_problem(name, "duplicate_part", "the form has this part twice"));
        }
        if name == "file" || texts.contains(&name) {
            return Ok(());
        }
        let known = [&["file"], texts].concat().join("`, `");
        Err(part_problem(name, "unknown_part", &format!("the form may have `{known}`")))
    }

    pub fn take_file(&mut self) -> Result<Upload, Problem> {
        let missing = || FieldError::new("file", "required", "a file is needed");
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

/// A name is data; but it is shown, and told to engines.
fn of_file_name(name: &str) -> Result<(), Problem> {
    let fits = name.chars().count() <= MAX_FILE_NAME && !name.chars().any(char::is_control);
    let allowed =
        format!("the name of the file must have at most {MAX_FILE_NAME} characters and no control characters");
    if fits { Ok(()) } else { Err(part_problem("file", "invalid_name", &allowed)) }
}

/// Reads a form; its file is streamed to `folder`, at most `limit` bytes of it. Beside the file it may have texts of these
/// names, and nothing twice: what would be passed over is refused.
pub async fn form(mut multipart: Multipart, folder: &Path, limit: u64, texts: &[&str]) -> Result<Form, Problem> {
    let broken = |error: &MultipartError| {
        let code = match error {
            MultipartError::ContentTypeMissing | MultipartError::ContentTypeIncompatible => Code::UnsupportedMediaType,
            _ => Code::BadRequest,
        };
        Problem::new(code, format!("the form cannot be read: {error}"))
    };
    let mut form = Form::default();
    while let Some(mut field) = multipart.try_next().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.content_disposition().and_then(file_name);
        form.expects(&name, texts)?;
        if name == "file" {
            file_name.as_deref().map_or(Ok(()), of_file_name)?;
            let content_type = field.content_type().map_or("application/octet-stream".into(), ToString::to_string);
            let mut sink = Sink::create(folder, limit).await?;
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
                return Err(Problem::new(Code::PayloadTooLarge, format!("`{name}` is longer than {MAX_TEXT} bytes")));
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
    async fn create(folder: &Path, limit: u64) -> Result<Self, Problem> {
        let path = folder.join(ulid::Ulid::generate().to_string());
        let created = blocking({
            let path = path.clone();
            move || {
                std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
                File::create_new(path)
            }
        });
        let file = created.await.map_err(Problem::internal)?;
        let upload =
            Upload { path, name: String::new(), content_type: String::new(), byte_size: 0, sha256: String::new() };
        Ok(Self { file, upload, digest: Sha256::new(), limit })
    }

    async fn write(mut self, chunk: bytes::Bytes) -> Result<Self, Problem> {
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
        upload.sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(upload)
    }
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The query of a create: `?stream=true` does the same as the body's `stream`.
pub fn stream_flag(request: &HttpRequest) -> Result<bool, Problem> {
    let mut query = RawQuery::read(request)?;
    let stream = query.flag("stream")?;
    query.finish("stream")?;
    Ok(stream)
}

/// The one parameter that may be in the query.
pub fn only_parameter(request: &HttpRequest, name: &str) -> Result<Option<String>, Problem> {
    let mut query = RawQuery::read(request)?;
    let value = query.take(name)?;
    query.finish(name)?;
    Ok(value)
}

/// For a creation that keeps no keys: whoever sends one counts on it, so it is refused and not passed over.
pub fn no_idempotency_key(request: &HttpRequest) -> Result<(), Problem> {
    if !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Ok(());
    }
    let message = "this request cannot be repeated under a key; leave the header out";
    Err(Problem::new(Code::InvalidRequest, format!("`{IDEMPOTENCY_KEY}`: {message}")).error(FieldError::new(
        IDEMPOTENCY_KEY,
        "unsupported",
        message,
    )))
}

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The `Idempotency-Key` header. One that cannot be kept is refused, since its sender counts on it.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    const HEADER: &str = IDEMPOTENCY_KEY;
    let invalid = |message: String| {
        Problem::new(Code::InvalidRequest, format!("`{HEADER}` must be {message}"))
            .error(FieldError::new(HEADER, "invalid", message))
    };
    let mut given = request.headers().get_all(HEADER);
    let key = given.next().map(|value| IdempotencyKey::parse(value.as_bytes())).transpose();
    match given.next() {
        Some(_) => Err(invalid("given once".to_owned())),
        None => key.map_err(|error| invalid(error.to_string())),
    }
}

/// `If-Match`: what an `ETag` says, with or without quotes. What no `ETag` can say matches nothing.
pub fn expected<T: FromStr>(request: &HttpRequest) -> Result<Expected<T>, Problem> {
    let mut headers = request.headers().get_all(header::IF_MATCH).peekable();
    if headers.peek().is_none() {
        let detail = "`If-Match` must name the version that is to be changed";
        return Err(Problem::new(Code::PreconditionRequired, detail));
    }
    let texts: Vec<&str> = headers.map(|value| value.to_str().unwrap_or_default()).collect();
    let tags: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    Ok(match tags.contains(&"*") {
        true => Expected::Any,
        false => Expected::OneOf(tags.iter().filter_map(|tag| tag.trim_matches('"').parse().ok()).collect()),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn what_is_to_be_changed_is_named_by_its_number() {
        let read = |texts: &[&str]| {
            let request =
                texts.iter().fold(TestRequest::get(), |request, text| request.append_header((header::IF_MATCH, *text)));
            expected::<u64>(&request.to_http_request())
        };
        for (texts, numbers) in [
            (&["\"3\""][..], &[3][..]),
            (&["3"], &[3]),
            (&["\"3\", \"4\"", "5"], &[3, 4, 5]),
            (&["W/\"3\""], &[]),
            (&["\"three\""], &[]),
        ] {
            assert_eq!(read(texts).unwrap(), Expected::OneOf(numbers.to_vec()), "{texts:?}");
        }
        assert_eq!(read(&["*"]).unwrap(), Expected::Any);
        assert_eq!(read(&[]).unwrap_err().code, Code::PreconditionRequired);
    }
}
