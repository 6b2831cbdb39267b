//! The command line: one file per command, all of them clients of the service but `serve`.
//!
//! Exit codes: 0 succeeded, 1 failed, 2 usage, 3 waits for a person, 130 interrupted, 141 whoever read the output has gone.

mod events;
mod client;
mod follow;
mod service;
mod folder;
mod report;
mod output;
mod progress;
mod serve;
mod run;
mod tail;
mod workflows;
mod exec;
mod replay;
mod verify;
mod migrate;
mod maintenance;

#[cfg(test)]
mod fixture;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Environment, Flag, Settings, SettingsError, Sources};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Succeeded = 0,
    Failed = 1,
    Usage = 2,
    /// An execution goes on when somebody has answered it.
    Waiting = 3,
    Interrupted = 130,
    /// As a shell tells it of a process that was ended by SIGPIPE.
    BrokenPipe = 141,
}

impl Exit {
    fn of_success(succeeded: bool) -> Self {
        if succeeded { Self::Succeeded } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// It was asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Failed(Box<dyn Error>),
}

impl CommandError {
    fn failed(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Failed(error.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Settings(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

/// Runs, builds and their event streams.
#[derive(Debug, Parser)]
#[command(name = "ade", version)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// Folder of logs, documents, outputs and the database.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Settings file (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Talk to this service instead of the one of the data folder.
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Say more in the log; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop.
    Serve(serve::ServeArgs),
    /// Turn a spreadsheet into its normalized workbook.
    Run(run::RunArgs),
    /// Follow the events of a run, a build or an execution to its end.
    Tail(tail::TailArgs),
    /// Look at, check and store the definitions of workflows.
    #[command(subcommand)]
    Workflows(workflows::WorkflowsCommand),
    /// Start executions of workflows, look at them, and answer what they ask.
    #[command(subcommand)]
    Exec(exec::ExecCommand),
    /// Check every event log of a data folder.
    Verify(verify::VerifyArgs),
    /// Look at or change the schema of the database.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Compress and delete old logs and whatever else is due, now.
    Maintenance,
    /// Print the effective settings, each with its source.
    Config,
    /// Fold a log file and print what it amounts to; needs no service.
    Replay(replay::ReplayArgs),
}

/// Parses the arguments, runs the command, and tells how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; they are no usage error.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Succeeded };
            output::note(error.print());
            return output::judge(exit).into();
        }
    };
    let result = actix_rt::System::new().block_on(execute(cli, environment));
    let exit = result.unwrap_or_else(|error| {
        output::complain(&format!("error: {error}"));
        error.exit()
    });
    output::judge(exit).into()
}

async fn execute(cli: Cli, environment: Environment) -> Result<Exit, CommandError> {
    let Cli { global, command } = cli;
    let settings = || load(&global, &command, environment);
    let server = global.server.as_deref();
    match &command {
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Config => Ok(show_settings(&settings()?)),
        Command::Workflows(command) => workflows::workflows(command, settings, server).await,
        Command::Exec(command) => exec::exec(command, settings()?, server).await,
        Command::Verify(arguments) => verify::verify(arguments, &settings()?).await,
        Command::Migrate(action) => migrate::migrate(action, &settings()?).await,
        Command::Maintenance => maintenance::maintenance(settings()?, server).await,
        Command::Serve(_) => serve::serve(settings()?).await,
        Command::Run(arguments) => run::run(arguments, settings()?, server).await,
        Command::Tail(arguments) => tail::tail(arguments, settings()?, server).await,
    }
}

fn show_settings(settings: &Settings) -> Exit {
    output::say(settings.effective().trim_end());
    for variable in &settings.unknown {
        output::complain(&format!("warning: {variable} is not a setting"));
    }
    Exit::Succeeded
}

/// The settings of a command. One that is not the service itself keeps quiet unless it is asked to talk.
fn load(global: &GlobalArgs, command: &Command, environment: Environment) -> Result<Settings, SettingsError> {
    let mut flags = Vec::new();
    let mut flag = |name, key, value: &Option<String>| {
        flags.extend(value.clone().map(|value| Flag { name, key, value }));
    };
    flag("--data-dir", "data_dir", &global.data_dir);
    let quiet = match command {
        Command::Serve(arguments) => {
            flag("--bind", "bind", &arguments.bind);
            0
        }
        _ => 1,
    };
    let level = (global.verbose > 0).then(|| {
        let levels = ["info", "debug", "trace"];
        levels[usize::from(global.verbose - quiet.min(global.verbose)).min(2)].to_owned()
    });
    flag("--verbose", "log_level", &level);
    let mut sources = Sources { file: global.config.clone(), environment, flags };
    let settings = Settings::load(&sources)?;
    if quiet == 1 && settings.is_default("log_level") {
        sources.flags.push(Flag { name: "of the command line", key: "log_level", value: "warn".to_owned() });
        return Settings::load(&sources);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str], environment: &[(&str, &str)]) -> Settings {
        let cli = Cli::try_parse_from(arguments).unwrap();
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        load(&cli.global, &cli.command, environment).unwrap()
    }

    #[test]
    fn the_tree_of_commands_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_behind_the_command() {
        for arguments in [["ade", "--data-dir", "/x", "config"], ["ade", "config", "--data-dir", "/x"]] {
            assert_eq!(settings(&arguments, &[]).storage.data_dir, PathBuf::from("/x"));
        }
    }

    #[test]
    fn only_the_service_talks_without_being_asked() {
        let level = |arguments: &[&str]| settings(arguments, &[]).telemetry.level;
        assert_eq!(level(&["ade", "serve"]), "info");
        assert_eq!(level(&["ade", "serve", "-v"]), "debug");
        assert_eq!(level(&["ade", "config"]), "warn");
        assert_eq!(level(&["ade", "config", "-v"]), "info");
        assert_eq!(level(&["ade", "config", "-vv"]), "debug");
        assert_eq!(settings(&["ade", "config"], &[("ADE_LOG_LEVEL", "trace")]).telemetry.level, "trace");
    }

    #[test]
    fn a_wrong_setting_is_a_usage_error() {
        let environment = Environment::from([("ADE_BIND".to_owned(), "nowhere".to_owned())]);
        let code = main(["ade", "config"].map(OsString::from), environment);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    }
}
