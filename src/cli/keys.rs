//! `ade keys`: the keys of the interface, on a data directory or its database; by a service with `--server`.
//!
//! On the directory it needs no key and no service: who may write there may let anybody in. A service that runs on it
//! notices within seconds.

use std::time::Duration;

use chrono::Utc;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::client::{ApiClient, percent_encoded};
use super::exit::{CommandError, Exit};
use super::output::{print_error, print_line};
use super::service::Service;
use crate::access::handle::Granting;
use crate::access::{Access, NewKey};
use crate::app;
use crate::config::Settings;
use crate::config::value::SettingValue as _;
use crate::domain::access::ApiKey;
use crate::domain::id::NodeId;
use crate::domain::principal::{Principal, Role, Scope};
use crate::domain::text::printable;
use crate::domain::{KeyId, WorkspaceId, time};
use crate::store::Store;
use crate::telemetry;

const PATH: &str = "/api/v1/api-keys";

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it. It is shown this once.
    Create(CreateArgs),
    /// List every key that there ever was.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: it lets nobody in any more, and what goes on under it ends.
    Revoke {
        /// Id of the key.
        id: KeyId,
    },
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is called, such as who or what it is for.
    name: String,
    /// viewer (reads), operator (creates, changes and cancels) or admin (everything).
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
    /// Name, slug or id of a workspace that the key is bound to; may be given several times. Without any it is for all.
    #[arg(long = "workspace", value_name = "NAME")]
    workspaces: Vec<String>,
    /// How long it is good for, such as 90d; without it, until it is revoked.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_in: Option<Duration>,
}

fn role(text: &str) -> Result<Role, &'static str> {
    Role::parse(text).ok_or("expected viewer, operator or admin")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    Duration::parse(text).ok_or(Duration::ALLOWED)
}

pub async fn keys(command: &KeysCommand, settings: Settings, server: Option<&str>) -> Result<Exit, CommandError> {
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    match server {
        Some(url) => by_service(command, &Service::remote(url, &settings).client()).await?,
        None => on_directory(command, &settings).await?,
    }
    Ok(Exit::Succeeded)
}

async fn by_service(command: &KeysCommand, client: &ApiClient) -> Result<(), CommandError> {
    match command {
        KeysCommand::Create(arguments) => {
            let made = client.post(PATH, &body(client, arguments).await?).await.map_err(CommandError::failed)?;
            let text = |member: &str| made[member].as_str().unwrap_or_default();
            tell(text("id"), text("role"), text("key"));
        }
        KeysCommand::List { json } => {
            let answer = client.get(PATH).await.map_err(CommandError::failed)?;
            show(answer["items"].as_array().map_or(&[], Vec::as_slice), *json);
        }
        KeysCommand::Revoke { id } => {
            let path = format!("{PATH}/{}", percent_encoded(&id.to_string()));
            client.delete(&path).await.map_err(CommandError::failed)?;
            print_line(&format!("{id} is revoked"));
        }
    }
    Ok(())
}

async fn body(client: &ApiClient, arguments: &CreateArgs) -> Result<Value, CommandError> {
    let mut body = json!({"name": arguments.name, "role": arguments.role});
    if !arguments.workspaces.is_empty() {
        let mut ids = Vec::new();
        for name in &arguments.workspaces {
            let found = client.workspace(name).await.map_err(CommandError::failed)?;
            ids.push(found.map(|workspace| workspace["id"].clone()).ok_or_else(|| no_workspace(name))?);
        }
        body["workspaces"] = ids.into();
    }
    if let Some(life) = arguments.expires_in {
        body["expires_at"] = time::format(time::micros(Utc::now() + life)).into();
    }
    Ok(body)
}

async fn on_directory(command: &KeysCommand, settings: &Settings) -> Result<(), CommandError> {
    let data_dir = &settings.storage.data_dir;
    std::fs::create_dir_all(data_dir)
        .map_err(|error| CommandError::failed(format!("data directory {}: {error}", data_dir.display())))?;
    let store = app::open_store(settings).await.map_err(CommandError::failed)?;
    let done = on_database(command, settings, &store).await;
    store.close().await.map_err(CommandError::failed)?;
    done
}

async fn on_database(command: &KeysCommand, settings: &Settings, store: &Store) -> Result<(), CommandError> {
    let limits = app::session_limits(&settings.access);
    // No node has this id: sessions are the services'.
    let access = Access::open(store.clone(), Granting::Alone(NodeId::generate()), true, limits)
        .await
        .map_err(CommandError::failed)?;
    match command {
        KeysCommand::Create(arguments) => {
            let new = new_key(store, arguments).await?;
            let made = access.create_key(new, &Principal::local()).await.map_err(CommandError::failed)?;
            let (key, secret) = made;
            tell(&key.id.to_string(), key.role.as_str(), secret.expose_secret());
        }
        KeysCommand::List { json } => {
            let keys = access.keys().await.map_err(CommandError::failed)?;
            show(&keys.iter().map(resource).collect::<Vec<_>>(), *json);
        }
        KeysCommand::Revoke { id } => {
            let revoked = access.revoke_key(*id).await.map_err(CommandError::failed)?;
            if !revoked && store.find_api_key(*id).await.map_err(CommandError::failed)?.is_none() {
                return Err(CommandError::failed(format!("there is no key {id}")));
            }
            print_line(&format!("{id} is revoked"));
        }
    }
    Ok(())
}

async fn new_key(store: &Store, arguments: &CreateArgs) -> Result<NewKey, CommandError> {
    let mut ids = Vec::new();
    for name in &arguments.workspaces {
        ids.push(workspace(store, name).await?);
    }
    let workspaces = if ids.is_empty() { Scope::All } else { Scope::Only(ids) };
    let expires_at = arguments.expires_in.map(|life| Utc::now() + life);
    Ok(NewKey { name: arguments.name.clone(), role: arguments.role, workspaces, expires_at })
}

async fn workspace(store: &Store, name: &str) -> Result<WorkspaceId, CommandError> {
    let all = store.all::<crate::domain::configuration::Workspace>(&Scope::All).await.map_err(CommandError::failed)?;
    let is_it = |id: WorkspaceId, slug: &str, called: &str| id.to_string() == name || slug == name || called == name;
    for workspace in all.iter().filter(|workspace| is_it(workspace.id, &workspace.slug, &workspace.name)) {
        // Those that were deleted are among all.
        let found = store.find_workspace(&Scope::All, workspace.id).await.map_err(CommandError::failed)?;
        if found.is_some() {
            return Ok(workspace.id);
        }
    }
    Err(no_workspace(name))
}

fn no_workspace(name: &str) -> CommandError {
    CommandError::failed(format!("there is no workspace {name}"))
}

/// The key alone on standard output, so that it can be kept in a variable.
fn tell(id: &str, role: &str, secret: &str) {
    print_error(&format!("{id} ({role}); it is not shown again"));
    print_line(secret);
}

/// As the interface shows it.
fn resource(key: &ApiKey) -> Value {
    let time = |at: Option<time::Timestamp>| at.map(time::format);
    let workspaces = match &key.workspaces {
        Scope::All => None,
        Scope::Only(ids) => Some(ids),
    };
    json!({
        "id": key.id, "object": "ade.api_key", "name": key.name, "role": key.role, "workspaces": workspaces,
        "created_by": key.created_by, "created_at": time::format(key.created_at), "expires_at": time(key.expires_at),
        "last_used_at": time(key.last_used_at), "revoked_at": time(key.revoked_at),
    })
}

fn show(keys: &[Value], as_json: bool) {
    if as_json {
        return print_line(&json!({"items": keys, "total": keys.len()}).to_string());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["key", "name", "role", "workspaces", "last used", "expires", "revoked"]);
    for key in keys {
        let text = |member: &str| printable(key[member].as_str().unwrap_or("-"));
        let bound = key["workspaces"].as_array().map_or("all".to_owned(), |ids| ids.len().to_string());
        let times = ["last_used_at", "expires_at", "revoked_at"].map(text);
        let [used, expires, revoked] = times;
        table.add_row([text("id"), text("name"), text("role"), bound, used, expires, revoked]);
    }
    print_line(&table.to_string());
}
