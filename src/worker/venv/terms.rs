//! How the programs of a build are started: what they see of the environment, and what they may reach.
//!
//! Law: until the configuration is installed, nothing that was uploaded has run in the venv. Those steps share what the
//! service keeps for all builds, and share no inode of it with the venv. From then on a step reaches the cache of its
//! workspace instead: what a package leaves in there, no other workspace installs.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::engine::Source;
use super::installer::Installer;
use super::toolchain::Toolchain;
use crate::blocking::blocking;
use crate::domain::build::Build;
use crate::files::Location;
use crate::isolation::Policy;
use crate::worker::WorkContext;
use crate::worker::environment::{Environment, live_in};
use crate::worker::handing;
use crate::worker::reach::{BuildPlace, paths_in};

const UV_SETTINGS: &str = "UV_CONFIG_FILE";
/// Of a build's temporary directory.
const SETTINGS: &str = "uv.toml";
const LARGEST_SETTINGS: u64 = 1 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    pub environment: Environment,
    pub policy: Policy,
}

/// Those of each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildTerms {
    /// Of what the operator has named.
    pub service: Terms,
    /// Of the installation of what was uploaded.
    pub package: Terms,
    /// Of its being imported.
    pub imports: Terms,
    /// Whose what was uploaded runs as.
    pub user: Option<u32>,
}

impl BuildTerms {
    /// The same for every step, which may reach what the service may.
    pub fn open(environment: Environment) -> Self {
        let terms = Terms { environment, policy: Policy::default() };
        Self { service: terms.clone(), package: terms.clone(), imports: terms, user: None }
    }

    /// For a build in this directory; `environment` is that of every build. Makes the directories that the steps need.
    pub async fn new(
        context: &WorkContext,
        build: &Build,
        toolchain: &Toolchain,
        environment: Environment,
        engine: Option<&Source>,
    ) -> io::Result<Self> {
        let Some(temporary) = context.reach.temporary(&build.id.to_string()) else {
            return Ok(Self::open(environment));
        };
        let (cache, directory) = (context.data_dir.join("cache"), context.build_directory(build).path());
        let user = context.user_of(build.workspace_id).await.map_err(io::Error::other)?;
        // What one user has is not shared with the times when there was none, or another.
        let of_workspace =
            user.map_or_else(|| format!("workspaces/{}", build.workspace_id), |user| format!("users/{user}"));
        make(vec![temporary.clone(), Location::below(&cache, &of_workspace)]).await?;
        let mut service = environment.clone();
        let mut package = environment;
        if let Some(user) = user {
            let places = [&Location::below(&cache, &of_workspace), &temporary];
            give(context, toolchain, places, &mut package, user).await?;
        }
        let (of_workspace, temporary) = (cache.join(of_workspace), temporary.path());
        isolate(&mut service, &temporary, &cache);
        // What shares an inode with the cache is written through the venv.
        service.insert("UV_LINK_MODE".into(), "copy".into());
        isolate(&mut package, &temporary, &of_workspace);
        let place = |environment| BuildPlace {
            directory: &directory,
            temporary: &temporary,
            python: &toolchain.python,
            installer: &toolchain.installer,
            environment,
            user,
        };
        let reach = &context.reach;
        let of_service = reach.of_service(place(&service), &engine.map(paths_of).unwrap_or_default());
        let of_package = reach.of_package(place(&package), &of_workspace, true);
        let of_imports = reach.of_package(place(&package), &of_workspace, false);
        Ok(Self {
            service: Terms { environment: service, policy: of_service },
            package: Terms { environment: package.clone(), policy: of_package },
            imports: Terms { environment: package, policy: of_imports },
            user,
        })
    }
}

async fn make(directories: Vec<Location>) -> io::Result<()> {
    blocking(move || directories.iter().try_for_each(|directory| directory.make().map(drop))).await
}

/// The workspace's cache becomes its user's, which finds the installer that the service has fetched, and a copy of the
/// settings that it has written for it. Those themselves are replaced at any time, and may have passwords in them.
async fn give(
    context: &WorkContext,
    toolchain: &Toolchain,
    [cache, temporary]: [&Location; 2],
    package: &mut Environment,
    user: u32,
) -> io::Result<()> {
    let (cache, temporary) = (cache.clone(), temporary.clone());
    let (program, settings) = (fetched(&context.data_dir, toolchain), written(&context.data_dir, package));
    if settings.is_some() {
        package.insert(UV_SETTINGS.into(), temporary.path().join(SETTINGS).into());
    }
    blocking(move || {
        program.as_ref().map_or(Ok(()), Location::show_to_all)?;
        if let Some(file) = settings {
            temporary.open()?.replace_privately(SETTINGS, &file.read(LARGEST_SETTINGS)?)?;
        }
        handing::give_cache(&cache, user)
    })
    .await
}

fn fetched(data_dir: &Path, toolchain: &Toolchain) -> Option<Location> {
    let Installer::Uv(uv) = &toolchain.installer else { return None };
    in_directory(data_dir, uv)
}

fn written(data_dir: &Path, environment: &Environment) -> Option<Location> {
    in_directory(data_dir, Path::new(environment.get(OsStr::new(UV_SETTINGS))?))
}

fn in_directory(data_dir: &Path, path: &Path) -> Option<Location> {
    path.strip_prefix(data_dir).ok().map(|below| Location::below(data_dir, below))
}

/// Engines cannot write into their venv, so what they import is compiled now.
fn isolate(environment: &mut Environment, temporary: &Path, cache: &Path) {
    live_in(environment, temporary);
    let mut set = |name: &str, value: PathBuf| environment.insert(name.into(), value.into());
    set("PIP_CACHE_DIR", cache.join("pip"));
    set("UV_CACHE_DIR", cache.join("uv"));
    set("UV_COMPILE_BYTECODE", "1".into());
}

/// Where an engine is installed from, as far as it is on this machine and not among what the service keeps.
fn paths_of(engine: &Source) -> Vec<PathBuf> {
    match engine {
        Source::Requirement(requirement) => paths_in(requirement),
        Source::Path(path) => vec![path.clone()],
        Source::Copy(_) => Vec::new(),
    }
}
