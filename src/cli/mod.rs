//! The command line: one file per command, all of them clients of the service but `serve`.
//!
//! Exit codes: 0 succeeded, 1 failed, 2 usage, 3 waiting for a person, 130 interrupted, 141 output closed by its reader.

mod exit;
mod text;
mod signals;
mod output;
mod client;
mod follow;
mod service;
mod folder;
mod report;
mod lines;
mod progress;
mod serve;
mod doctor;
mod run;
mod tail;
mod workflows;
mod exec;
mod replay;
mod archived;
mod stored_files;
pub(crate) mod verify;
mod migrate;
mod keys;
mod cluster;
mod maintenance;
mod backup;

#[cfg(test)]
mod fixture;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use actix_web::http::Uri;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app;
use crate::config::{Environment, Flag, Settings, SettingsError, Sources};

use exit::{CommandError, Exit};

/// Runs work and streams its history: runs, builds and workflow executions.
#[derive(Debug, Parser)]
#[command(name = "ade", version)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes, but for those that [`MEANINGLESS`] lists.
#[derive(Debug, Args)]
struct GlobalArgs {
    /// Directory of logs, documents, outputs and the database.
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    data_dir: Option<String>,
    /// Settings file (TOML).
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Talk to this service instead of the one that owns the data directory.
    #[arg(long, global = true, value_name = "URL", value_parser = server_url, help_heading = GLOBAL)]
    server: Option<String>,
    /// The key to show to a service. Others on this machine can see it here; ADE_API_KEY keeps it from them.
    #[arg(long, global = true, value_name = "KEY", help_heading = GLOBAL)]
    key: Option<String>,
    /// Log more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
}

const GLOBAL: &str = "Global options";

/// Commands, and the global options that they neither show nor accept.
const MEANINGLESS: &[(&[&str], &[&str])] = &[
    (&["serve"], &["server", "key"]),
    (&["config"], &["server"]),
    (&["doctor"], &["server", "key", "verbose"]),
    (&["verify"], &["server", "key", "verbose"]),
    (&["migrate"], &["server", "key", "verbose"]),
    (&["backup"], &["server", "key"]),
    (&["restore"], &["server", "key", "verbose"]),
    (&["openapi"], &["data_dir", "config", "server", "key", "verbose"]),
    (&["replay"], &["data_dir", "config", "server", "key", "verbose"]),
    (&["workflows", "validate"], &["data_dir", "config", "server", "key", "verbose"]),
];

/// The base URL of a service. It speaks plain HTTP only.
fn server_url(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "expected a URL such as http://127.0.0.1:8000 (https is not supported)";
    let url: Uri = text.parse().map_err(|_| FORM)?;
    let is_whole = url.scheme_str() == Some("http") && url.host().is_some_and(|host| !host.is_empty());
    if is_whole { Ok(text.to_owned()) } else { Err(FORM) }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until a signal stops it.
    Serve(serve::ServeArgs),
    /// Turn a spreadsheet into its normalized workbook.
    Run(run::RunArgs),
    /// Follow the events of a run, a build or an execution to its end.
    Tail(tail::TailArgs),
    /// List, check and store workflow definitions.
    #[command(subcommand)]
    Workflows(workflows::WorkflowsCommand),
    /// Start, follow, list and cancel workflow executions, and answer their questions.
    #[command(subcommand)]
    Exec(exec::ExecCommand),
    /// Check every event log of a data directory.
    Verify(verify::VerifyArgs),
    /// Show or change the database schema.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Make, list and revoke the keys that let callers in.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show the nodes of a cluster.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Run maintenance now: compress and delete old logs, and whatever else is due.
    Maintenance,
    /// Copy the data directory and its database, while the service is at work.
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup, where there is none.
    Restore(backup::RestoreArgs),
    /// Print the effective settings, each with its source.
    Config,
    /// Check this machine: isolation, interpreter, directories, database. Starts nothing; exits with 1 if anything fails.
    Doctor,
    /// Print the contract of the interface, an OpenAPI document; needs no service.
    Openapi,
    /// Print the summary of a log file; needs no service.
    Replay(replay::ReplayArgs),
}

/// The commands and their options, as they are shown and parsed.
fn tree() -> clap::Command {
    MEANINGLESS.iter().fold(Cli::command(), |tree, (path, options)| {
        let is_meaningless = |option: &&Arg| options.contains(&option.get_id().as_str());
        let hidden = tree.get_arguments().filter(is_meaningless).map(|option| option.clone().hide(true)).collect();
        with_options(tree, path, hidden)
    })
}

/// Gives a command options of its own: they stand in for the global ones.
fn with_options(command: clap::Command, path: &'static [&'static str], options: Vec<Arg>) -> clap::Command {
    match path.split_first() {
        Some((name, rest)) => command.mut_subcommand(*name, |below| with_options(below, rest, options)),
        None => command.args(options),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut tree = tree();
    let matches = tree.try_get_matches_from_mut(arguments)?;
    for (path, options) in MEANINGLESS.iter().filter(|(path, _)| is_command(&matches, path)) {
        // Wherever a global option is given, the matches of the root have it too.
        let is_given = |option: &&&str| matches.value_source(option) == Some(ValueSource::CommandLine);
        if let Some(option) = options.iter().find(is_given) {
            let message = format!("--{} means nothing to `ade {}`", option.replace('_', "-"), path.join(" "));
            return Err(tree.error(ErrorKind::UnknownArgument, message));
        }
    }
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut tree))
}

fn is_command(matches: &ArgMatches, path: &[&str]) -> bool {
    match (path.split_first(), matches.subcommand()) {
        (None, _) => true,
        (Some((name, rest)), Some((called, below))) => *name == called && is_command(below, rest),
        (Some(_), None) => false,
    }
}

/// Parses the arguments, runs the command, and reports how it ended.
pub fn main(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; they are not usage errors.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Succeeded };
            output::note(error.print());
            return output::judge(exit).into();
        }
    };
    let result = actix_rt::System::new().block_on(execute(cli, environment));
    let exit = result.unwrap_or_else(|error| {
        output::print_error(&format!("error: {error}"));
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
        Command::Doctor => doctor::doctor(settings()?).await,
        Command::Openapi => {
            output::print_line(app::contract().trim_end());
            Ok(Exit::Succeeded)
        }
        Command::Workflows(command) => workflows::workflows(command, settings, server).await,
        Command::Exec(command) => exec::exec(command, settings()?, server).await,
        Command::Verify(arguments) => verify::verify(arguments, &settings()?).await,
        Command::Migrate(action) => migrate::migrate(action, &settings()?).await,
        Command::Keys(command) => keys::keys(command, settings()?, server).await,
        Command::Cluster(command) => cluster::cluster(command, settings()?, server).await,
        Command::Maintenance => maintenance::maintenance(settings()?, server).await,
        Command::Backup(arguments) => backup::backup(arguments, settings()?).await,
        Command::Restore(arguments) => backup::restore(arguments, &settings()?).await,
        Command::Serve(_) => serve::serve(settings()?).await,
        Command::Run(arguments) => run::run(arguments, settings()?, server).await,
        Command::Tail(arguments) => tail::tail(arguments, settings()?, server).await,
    }
}

fn show_settings(settings: &Settings) -> Exit {
    output::print_line(settings.effective().trim_end());
    for variable in &settings.unknown {
        output::print_error(&format!("warning: {variable} is not a setting"));
    }
    Exit::Succeeded
}

/// The settings of a command. Only the service logs at `info` without being asked to.
fn load(global: &GlobalArgs, command: &Command, environment: Environment) -> Result<Settings, SettingsError> {
    let mut flags = Vec::new();
    let mut flag = |name, key, value: &Option<String>| {
        flags.extend(value.clone().map(|value| Flag { name, key, value }));
    };
    flag("--data-dir", "data_dir", &global.data_dir);
    flag("--key", "api_key", &global.key);
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
        let cli = parse(arguments.iter().map(OsString::from)).unwrap();
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        load(&cli.global, &cli.command, environment).unwrap()
    }

    #[test]
    fn the_tree_of_commands_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_behind_the_command() {
        for arguments in [["ade", "--data-dir", "/x", "config"], ["ade", "config", "--data-dir", "/x"]] {
            assert_eq!(settings(&arguments, &[]).storage.data_dir, PathBuf::from("/x"));
        }
    }

    #[test]
    fn an_address_to_listen_on_needs_no_port() {
        let bind = |address: &str| settings(&["ade", "serve", "--bind", address], &[]).server.bind;
        assert_eq!(bind("localhost"), bind("127.0.0.1:8000"));
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
        let code = main(["ade", "config"].map(OsString::from).to_vec(), environment);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    }
}
