//! `ade run`: one command from a spreadsheet to its normalized workbook.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::{ApiClient, ClientError, Upload};
use super::exit::{CommandError, Exit};
use super::folder::{PackError, zip_folder};
use super::follow::{Follower, Target};
use super::output::{print_error, print_line};
use super::progress::Progress;
use super::report::Report;
use super::service::attach_or_start;
use super::signals::Signals;
use crate::config::Settings;
use crate::domain::configuration::DEFAULT_WORKSPACE;
use crate::domain::text::printable;
use crate::files::Dir;
use crate::telemetry;

const DEFAULT_CONFIGURATION: &str = "default";
const WORKBOOK_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The spreadsheet: .xlsx or .csv.
    file: PathBuf,
    /// Directory of a configuration package; the built-in one when left out.
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Read only this sheet; may be given several times.
    #[arg(long = "sheet", value_name = "NAME")]
    sheets: Vec<String>,
    /// Name, slug or id of the workspace; created when there is none.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_WORKSPACE)]
    workspace: String,
    /// Copy the workbook into this directory.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print only the path of the workbook, and errors.
    #[arg(short, long)]
    quiet: bool,
    /// Print the result as one JSON object instead of the path.
    #[arg(long)]
    json: bool,
}

/// Why there is no run, or no workbook.
#[derive(Debug, thiserror::Error)]
enum RunFileError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the output directory {path} cannot be written: {source}")]
    Output { path: PathBuf, source: std::io::Error },
    #[error("the service's answer has no {0}")]
    Missing(&'static str),
}

pub async fn run(arguments: &RunArgs, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    // Before anything is started: the likeliest mistake is a wrong name.
    let content = read(&arguments.file).map_err(|error| CommandError::Usage(error.to_string()))?;
    if let Some(output) = output_directory(arguments, server) {
        check_output(output).map_err(|error| CommandError::Usage(error.to_string()))?;
    }
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    // From here on an interrupt does not just end this process, which may have engines to end first.
    let mut signals = Signals::new().map_err(CommandError::failed)?;
    let data_dir = settings.storage.data_dir.clone();
    let service = attach_or_start(settings, server).await.map_err(CommandError::failed)?;
    let local = server.is_none().then_some(data_dir.as_path());
    let session = Session { client: service.client(), arguments, local };
    let result = session.run(&content, &mut signals).await;
    // A second interrupt does not wait for the engine.
    service.close(!matches!(result, Ok(Exit::Interrupted))).await;
    result.map_err(CommandError::failed)
}

/// One run, from the upload to its outputs.
struct Session<'a> {
    client: ApiClient,
    arguments: &'a RunArgs,
    /// The service's data directory, when it is on this machine.
    local: Option<&'a Path>,
}

impl Session<'_> {
    async fn run(&self, content: &[u8], signals: &mut Signals) -> Result<Exit, RunFileError> {
        let mut progress = if self.arguments.quiet { Progress::Silent } else { Progress::beside_output() };
        let workspace = self.workspace().await?;
        let workspace_path = format!("/api/v1/workspaces/{}", text(&workspace, "id")?);
        let configuration = self.configuration(&workspace_path).await?;
        let document = self.upload(&workspace_path, content).await?;
        let run = self.create(&configuration, &document).await?;
        let id = text(&run, "id")?;
        progress.note(&format!("run {id}"));
        let followed = self.follow(id, &mut progress, signals).await;
        progress.finish();
        let Some((report, interrupted)) = followed? else { return Ok(Exit::Interrupted) };
        if report.has_started() && !self.arguments.quiet {
            print_error(&report.to_table());
        }
        let delivers = report.succeeded() && !interrupted;
        let path = if delivers { self.deliver(&run, &report).await? } else { None };
        if !report.succeeded() && !interrupted {
            show_failure(&report);
        }
        self.print(id, &report, path.as_deref());
        Ok(if interrupted { Exit::Interrupted } else { Exit::of_success(report.succeeded()) })
    }

    /// The only thing that goes to standard output.
    fn print(&self, run_id: &str, report: &Report, path: Option<&Path>) {
        let path = path.map(|path| path.display().to_string());
        if self.arguments.json {
            let mut result = report.to_json();
            result["run_id"] = run_id.into();
            result["path"] = path.into();
            print_line(&result.to_string());
        } else if let Some(path) = path {
            print_line(&path);
        }
    }

    async fn workspace(&self) -> Result<Value, RunFileError> {
        let name = self.arguments.workspace.as_str();
        if let Some(found) = self.client.workspace(name).await? {
            return Ok(found);
        }
        // The default one has a slug of its own, so that it is found again whatever its name becomes.
        let body = match name {
            DEFAULT_WORKSPACE => json!({"name": name, "slug": DEFAULT_WORKSPACE}),
            name => json!({"name": name}),
        };
        Ok(self.client.post("/api/v1/workspaces", &body).await?)
    }

    async fn configuration(&self, workspace: &str) -> Result<Value, RunFileError> {
        let path = format!("{workspace}/configurations");
        let Some(folder) = &self.arguments.config_dir else {
            let wanted = |item: &Value| item["display_name"] == DEFAULT_CONFIGURATION;
            let source = json!({"type": "template", "template_id": "default"});
            let body = json!({"display_name": DEFAULT_CONFIGURATION, "source": source});
            return match self.client.find(&path, wanted).await? {
                Some(found) => Ok(found),
                None => Ok(self.client.post(&path, &body).await?),
            };
        };
        let packed = zip_folder(folder)?;
        let same = |item: &Value| item["content_digest"] == packed.content_digest.as_str();
        if let Some(found) = self.client.find(&path, same).await? {
            return Ok(found);
        }
        let name = file_name(folder);
        let file = Upload { name: "configuration.zip", content_type: "application/zip", content: &packed.zip };
        Ok(self.client.upload(&format!("{path}/import"), &[("display_name", &name)], &file).await?)
    }

    async fn upload(&self, workspace: &str, content: &[u8]) -> Result<Value, RunFileError> {
        let name = file_name(&self.arguments.file);
        let content_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => "text/csv",
            Some("xlsx") => WORKBOOK_TYPE,
            _ => "application/octet-stream",
        };
        let file = Upload { name: &name, content_type, content };
        Ok(self.client.upload(&format!("{workspace}/documents"), &[], &file).await?)
    }

    async fn create(&self, configuration: &Value, document: &Value) -> Result<Value, RunFileError> {
        let path = format!("/api/v1/configurations/{}/runs", text(configuration, "id")?);
        let mut options = json!({"document_ids": [text(document, "id")?]});
        if !self.arguments.sheets.is_empty() {
            options["input_sheet_names"] = json!(self.arguments.sheets);
        }
        Ok(self.client.post(&path, &json!({"options": options})).await?)
    }

    /// The report of the run, and whether it was interrupted; none when a second interrupt ended the waiting too.
    async fn follow(
        &self,
        id: &str,
        progress: &mut Progress,
        signals: &mut Signals,
    ) -> Result<Option<(Report, bool)>, RunFileError> {
        let target = Target::parse(id).ok_or(RunFileError::Missing("run id"))?;
        let mut follower = Follower::new(self.client.clone(), &target, None, None);
        let mut report = Report::default();
        let mut interrupted = false;
        loop {
            tokio::select! {
                received = follower.next() => match received? {
                    Some(received) => {
                        report.apply(&received.event);
                        progress.show(&received.event);
                    }
                    None => return Ok(Some((report, interrupted))),
                },
                () = signals.next() => {
                    if std::mem::replace(&mut interrupted, true) {
                        return Ok(None);
                    }
                    progress.note("interrupted; cancelling the run (again: leave at once)");
                    self.cancel(&target).await?;
                }
            }
        }
    }

    async fn cancel(&self, target: &Target) -> Result<(), ClientError> {
        let cancelled = self.client.post(&format!("{}/cancel", target.path()), &json!({"reason": "interrupted"})).await;
        match cancelled {
            // It has ended in the meantime: its last event is on the way.
            Err(ClientError::Refused { status: 409, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Where the workbook is, once it is where it was asked for; none when the run has no output.
    async fn deliver(&self, run: &Value, report: &Report) -> Result<Option<PathBuf>, RunFileError> {
        let Some(workbook) = report.workbook() else {
            print_error("the run has no output");
            return Ok(None);
        };
        let (id, workspace) = (text(run, "id")?, text(run, "workspace_id")?);
        let stored = self.local.map(|folder| folder.join(format!("workspaces/{workspace}/runs/{id}/{workbook}")));
        let path = match (&self.arguments.output, stored) {
            (None, Some(stored)) => stored,
            (Some(folder), _) => self.download(id, workbook, folder).await?,
            // Another machine's disk is of no use here.
            (None, None) => self.download(id, workbook, Path::new(".")).await?,
        };
        Ok(Some(path))
    }

    async fn download(&self, id: &str, workbook: &str, folder: &Path) -> Result<PathBuf, RunFileError> {
        let outputs = self.client.get(&format!("/api/v1/runs/{id}/outputs")).await?;
        let files = outputs["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Names are relative to the run's directory or to its outputs.
        let same = |file: &&Value| file["name"].as_str().is_some_and(|name| workbook.ends_with(name));
        let file = files.iter().find(same).ok_or(RunFileError::Missing("output"))?;
        let content = self.client.bytes(text(file, "download_url")?).await?;
        let path = folder.join(file_name(Path::new(workbook)));
        let wrong = |source| RunFileError::File { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        std::fs::write(&path, &content).map_err(wrong)?;
        Ok(std::path::absolute(&path).unwrap_or(path))
    }
}

/// The directory that the workbook will be copied to, if it will be.
fn output_directory<'a>(arguments: &'a RunArgs, server: Option<&str>) -> Option<&'a Path> {
    // Another machine's disk is of no use here, so its workbook is copied to this one.
    let elsewhere = server.map(|_| Path::new("."));
    arguments.output.as_deref().or(elsewhere)
}

/// Finds out before the run, which may take hours, whether its workbook could be stored. Creates nothing: a directory
/// that does not exist yet can be created if the nearest one above it can be written.
fn check_output(directory: &Path) -> Result<(), RunFileError> {
    let wrong = |source| RunFileError::Output { path: directory.to_owned(), source };
    let whole = std::path::absolute(directory).map_err(wrong)?;
    let existing = whole.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(&whole);
    Dir::root(existing).and_then(|existing| existing.probe()).map_err(wrong)
}

fn show_failure(report: &Report) {
    match &report.failure {
        Some(failure) => print_error(&format!("{}: {}", failure.code, printable(&failure.message))),
        None => print_error(&format!("the run ended as {}", report.status.as_deref().unwrap_or("unknown"))),
    }
    report.last_lines.iter().for_each(|line| print_error(&format!("  {}", printable(line))));
}

fn read(path: &Path) -> Result<Vec<u8>, RunFileError> {
    std::fs::read(path).map_err(|source| RunFileError::File { path: path.to_owned(), source })
}

/// The last part of a path, also of `.` and the like.
fn file_name(path: &Path) -> String {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or_else(|| whole.file_name());
    name.map_or_else(|| "unnamed".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn text<'v>(value: &'v Value, key: &'static str) -> Result<&'v str, RunFileError> {
    value[key].as_str().ok_or(RunFileError::Missing(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture::{RUN, Script};
    use crate::config::Sources;

    fn script(status: &str) -> std::sync::Arc<Script> {
        let failure =
            if status == "failed" { json!({"code": "engine_error", "message": "it broke"}) } else { json!(null) };
        let artifacts = json!({"output_paths": ["output/normalized.xlsx"]});
        let end = json!({"status": status, "failure": failure, "artifacts": artifacts});
        Script::new(&[("run.queued", json!({})), ("run.started", json!({})), ("run.completed", end)], 2)
    }

    fn arguments(folder: &Path) -> RunArgs {
        let file = folder.join("in \"put.csv");
        std::fs::write(&file, "a,b\n1,2\n").unwrap();
        RunArgs {
            file,
            config_dir: None,
            sheets: vec!["S1".to_owned()],
            workspace: DEFAULT_WORKSPACE.to_owned(),
            output: Some(folder.join("out")),
            quiet: false,
            json: false,
        }
    }

    async fn session(arguments: &RunArgs, url: &str) -> Result<Exit, RunFileError> {
        let content = read(&arguments.file)?;
        let mut signals = Signals::new().unwrap();
        Session { client: ApiClient::new(url, None), arguments, local: None }.run(&content, &mut signals).await
    }

    #[actix_web::test]
    async fn a_spreadsheet_goes_up_and_its_workbook_comes_down() {
        let (folder, script) = (tempfile::tempdir().unwrap(), script("succeeded"));
        let (arguments, url) = (arguments(folder.path()), script.serve());
        assert_eq!(session(&arguments, &url).await.unwrap(), Exit::Succeeded);
        let workbook = std::fs::read_to_string(folder.path().join("out/normalized.xlsx")).unwrap();
        assert_eq!(workbook, "the workbook");
        let created = script.asked("POST /api/v1/configurations/cfg_1/runs");
        let options = r#"{"options":{"document_ids":["doc_1"],"input_sheet_names":["S1"]}}"#;
        assert!(created.len() == 1 && created[0].ends_with(options), "{created:?}");
        let upload = &script.requests.lock().unwrap().iter().find(|r| r.contains("/documents")).cloned().unwrap();
        assert!(upload.contains("filename=\"in %22put.csv\"") && upload.contains("a,b\n1,2\n"), "{upload}");
    }

    #[actix_web::test]
    async fn workspace_and_configuration_are_made_once() {
        let (folder, script) = (tempfile::tempdir().unwrap(), script("succeeded"));
        let (arguments, url) = (arguments(folder.path()), script.serve());
        for _ in 0..2 {
            session(&arguments, &url).await.unwrap();
        }
        let made = script.asked("POST /api/v1/workspaces ").len() + script.asked("POST /api/v1/workspaces/ws").len();
        assert_eq!(made, 1 + 1 + 2, "a workspace, a configuration and a document for each run");
    }

    #[actix_web::test]
    async fn a_configuration_folder_is_imported() {
        let (folder, script) = (tempfile::tempdir().unwrap(), script("succeeded"));
        let url = script.serve();
        let mut arguments = arguments(folder.path());
        let configuration = folder.path().join("mine");
        std::fs::create_dir(&configuration).unwrap();
        std::fs::write(configuration.join("pyproject.toml"), "").unwrap();
        arguments.config_dir = Some(configuration);
        assert_eq!(session(&arguments, &url).await.unwrap(), Exit::Succeeded);
        let import = script.requests.lock().unwrap().iter().find(|r| r.contains("/import")).cloned().unwrap();
        assert!(import.contains("name=\"display_name\"\r\n\r\nmine\r\n") && import.contains("PK"), "{import}");
        assert_eq!(script.asked("POST /api/v1/configurations/cfg_2/runs").len(), 1);
    }

    #[actix_web::test]
    async fn a_run_that_fails_has_its_own_exit_code() {
        let (folder, script) = (tempfile::tempdir().unwrap(), script("failed"));
        let (arguments, url) = (arguments(folder.path()), script.serve());
        assert_eq!(session(&arguments, &url).await.unwrap(), Exit::Failed);
        assert!(!folder.path().join("out").exists());
    }

    #[actix_web::test]
    async fn a_file_that_is_not_there_is_a_usage_error_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = arguments(folder.path());
        arguments.file = folder.path().join("nothing.xlsx");
        let settings = Settings::load(&Sources::default()).unwrap();
        let error = run(&arguments, settings, Some(RUN)).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
    }
}
