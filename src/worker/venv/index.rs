//! The installers' own settings files: what says where packages come from, and how to get there, is kept; what says how
//! they are installed is not, since a build is made in its own way.
//!
//! Invariant: by a list of what is kept. An installer reads no settings file of its own accord any more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::{Location, is_absent};
use crate::worker::environment::Environment;

/// A file that is larger is none of settings.
const MAX_BYTES: u64 = 1 << 20;

/// Options of pip, as its files name them.
const PIP: &[&str] = &[
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
];

/// Keys of uv's files, at the top and in their table `pip`.
const UV: &[&str] = &[
    "allow-insecure-host",
    "extra-index-url",
    "find-links",
    "http-proxy",
    "https-proxy",
    "index",
    "index-strategy",
    "index-url",
    "keyring-provider",
    "native-tls",
    "no-index",
    "no-proxy",
    "offline",
    "system-certs",
];

/// The variables that stand for the settings files of both installers. Blocks.
pub fn of_files(service: &Environment, data: &Path) -> Environment {
    let mut variables = pip_variables(&pip_files(service));
    variables.insert("PIP_CONFIG_FILE".into(), "/dev/null".into());
    match uv_file(&uv_files(service), data) {
        Some(file) => variables.insert("UV_CONFIG_FILE".into(), file.into()),
        None => variables.insert("UV_NO_CONFIG".into(), "1".into()),
    };
    variables
}

fn home(service: &Environment) -> Option<&Path> {
    service.get(OsStr::new("HOME")).map(Path::new)
}

/// Where the user's settings of all programs are.
fn configured(service: &Environment) -> Option<PathBuf> {
    let named = service.get(OsStr::new("XDG_CONFIG_HOME")).map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| home(service).map(|home| home.join(".config")))
}

/// In pip's order: a later one wins, and a file that a variable names stands for the user's.
fn pip_files(service: &Environment) -> Vec<String> {
    let named = service.get(OsStr::new("PIP_CONFIG_FILE")).map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut paths: Vec<PathBuf> = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"].map(PathBuf::from).into();
    match named.filter(|path| path.exists()) {
        Some(named) => paths.push(named),
        None => {
            paths.extend(home(service).map(|home| home.join(".pip/pip.conf")));
            paths.extend(configured(service).map(|directory| directory.join("pip/pip.conf")));
        }
    }
    paths.iter().filter_map(|path| text(path)).collect()
}

/// `None` where there is no such file. It may be reached by links; a pipe that nothing writes to is not waited for.
fn text(path: &Path) -> Option<String> {
    let read = || {
        let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(io::Error::other("it is no file of settings"));
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map(|_| text)
    };
    read().map_or_else(
        |error| {
            if !is_absent(&error) {
                tracing::warn!(path = %path.display(), %error, "settings of an installer cannot be read");
            }
            None
        },
        Some,
    )
}

fn pip_variables(files: &[String]) -> Environment {
    let mut kept = BTreeMap::new();
    for section in ["global", "install"] {
        for (_, option, value) in files.iter().flat_map(|text| entries(text)).filter(|(name, ..)| name == section) {
            // pip takes no notice of an empty value.
            if PIP.contains(&option.as_str()) && !value.is_empty() {
                kept.insert(option, value);
            }
        }
    }
    let variable = |option: String| OsString::from(format!("PIP_{}", option.replace('-', "_").to_uppercase()));
    kept.into_iter().map(|(option, value)| (variable(option), value.into())).collect()
}

/// Section, option and value of each entry of an ini file. A line that begins with a space goes on with the one before.
fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries: Vec<(String, String, String)> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((.., value)) = entries.last_mut().filter(|_| goes_on) {
                *value = format!("{value} {trimmed}").trim().to_owned();
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name.to_owned();
            goes_on = false;
        } else if let Some((option, value)) = trimmed.split_once(['=', ':']) {
            let option = option.trim().to_lowercase().replace('_', "-");
            let option = option.trim_start_matches("--").to_owned();
            entries.push((section.clone(), option, value.trim().to_owned()));
            goes_on = true;
        }
    }
    entries
}

/// A file that a variable names is the only one; else the user's goes before the system's.
fn uv_files(service: &Environment) -> Vec<PathBuf> {
    if let Some(named) = service.get(OsStr::new("UV_CONFIG_FILE")) {
        return vec![named.into()];
    }
    let system = ["/etc/xdg/uv/uv.toml", "/etc/uv/uv.toml"].map(PathBuf::from);
    let users = configured(service).map(|directory| directory.join("uv/uv.toml"));
    system.into_iter().chain(users).collect()
}

/// A file with what is kept of these. One that cannot be read as settings is left for uv to complain about.
fn uv_file(files: &[PathBuf], data: &Path) -> Option<PathBuf> {
    let mut kept = toml::Table::new();
    for path in files {
        let Some(text) = text(path) else { continue };
        match text.parse::<toml::Table>() {
            Ok(table) => kept.extend(of_uv(table)),
            Err(_) => return Some(path.clone()),
        }
    }
    let text = (!kept.is_empty()).then(|| kept.to_string())?;
    match write(&text, data) {
        Ok(path) => Some(path),
        Err(error) => {
            tracing::warn!(%error, "uv's own settings cannot be passed on");
            None
        }
    }
}

fn of_uv(table: toml::Table) -> toml::Table {
    let below = table.get("pip").and_then(toml::Value::as_table).cloned().map(of_uv).filter(|pip| !pip.is_empty());
    let mut kept: toml::Table = table.into_iter().filter(|(key, _)| UV.contains(&key.as_str())).collect();
    kept.extend(below.map(|pip| ("pip".to_owned(), pip.into())));
    kept
}

/// Its content names it. There may be passwords in it.
fn write(text: &str, data: &Path) -> io::Result<PathBuf> {
    let digest: String = Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{digest}.toml");
    let directory = Location::below(data, "cache/uv-settings");
    let (dir, fresh) = (directory.make()?, format!("{digest}.{}", ulid::Ulid::generate()));
    let mut file = dir.create(&fresh)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    dir.rename(fresh, &dir, &name)?;
    Ok(directory.path().join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pip(texts: &[&str]) -> Vec<(String, String)> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let text = |text: OsString| text.into_string().unwrap();
        pip_variables(&texts).into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn of_pips_settings_only_those_are_kept_that_say_whence() {
        let file = "# by hand\n[global]\nindex-url = https://one/simple\ntimeout: 60\nrequire-virtualenv = true\n\
                    extra_index_url =\n    https://two/simple\n    https://three/simple\n; more\ntarget = /nowhere\n\
                    \x20 and more of it\n[install]\nuser = true\nno-deps = true\n--trusted-host = one\n\
                    [wheel]\nproxy = other\n";
        let expected = [
            ("PIP_DEFAULT_TIMEOUT", "5"),
            ("PIP_EXTRA_INDEX_URL", "https://two/simple https://three/simple"),
            ("PIP_INDEX_URL", "https://four"),
            ("PIP_TIMEOUT", "60"),
            ("PIP_TRUSTED_HOST", "one"),
        ];
        let found = pip(&[file, "[global]\nindex-url=https://four\nproxy =\ndefault-timeout=5"]);
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(pip(&["index-url = in no section\n[install\nx", ""]), []);
    }

    #[test]
    fn of_uvs_settings_only_those_are_kept_that_say_whence() {
        let directory = tempfile::tempdir().unwrap();
        let (system, users) = (directory.path().join("system.toml"), directory.path().join("user.toml"));
        std::fs::write(&system, "offline = true\nno-index = true\nrequired-version = '<0.1'\n").unwrap();
        let user = "no-index = false\n[[index]]\nname = 'own'\nurl = 'https://me:secret@one'\ndefault = true\n\
                    [pip]\ntarget = '/nowhere'\nindex-strategy = 'unsafe-best-match'\n";
        std::fs::write(&users, user).unwrap();
        let written = uv_file(&[system, directory.path().join("missing.toml"), users], directory.path()).unwrap();
        let kept: toml::Table = std::fs::read_to_string(&written).unwrap().parse().unwrap();
        let expected: toml::Table = "offline = true\nno-index = false\n\
            index = [{ name = 'own', url = 'https://me:secret@one', default = true }]\n\
            pip = { index-strategy = 'unsafe-best-match' }"
            .parse()
            .unwrap();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_users_settings_are_found_where_programs_keep_them() {
        let directory = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("home/.pip/pip.conf", "[global]\nproxy = of old\nindex-url = of old\n");
        put("home/.config/pip/pip.conf", "[global]\nproxy = of home\n");
        put("moved/pip/pip.conf", "[global]\nproxy = moved\n");
        put("named.conf", "[global]\nproxy = named\n");
        let proxy = |more: &[(&str, &str)]| {
            let at = |path: &str| directory.path().join(path).into_os_string();
            let mut service = Environment::from([("HOME".into(), at("home"))]);
            service.extend(more.iter().map(|(name, path)| ((*name).into(), at(path))));
            let found = of_files(&service, directory.path());
            found.get(OsStr::new("PIP_PROXY")).and_then(|value| value.to_str()).map(str::to_owned)
        };
        assert_eq!(proxy(&[]).as_deref(), Some("of home"));
        assert_eq!(proxy(&[("XDG_CONFIG_HOME", "moved")]).as_deref(), Some("moved"));
        assert_eq!(proxy(&[("XDG_CONFIG_HOME", "moved"), ("PIP_CONFIG_FILE", "named.conf")]).as_deref(), Some("named"));
        assert_eq!(proxy(&[("PIP_CONFIG_FILE", "missing.conf")]).as_deref(), Some("of home"));
    }

    #[test]
    fn nobody_is_waited_for_who_would_have_to_write_the_settings_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pip.conf");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(text(&path), None);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert_eq!(text(&path), None);
    }

    #[test]
    fn without_settings_there_is_no_file_and_a_broken_one_is_for_uv() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("uv.toml");
        assert_eq!(uv_file(std::slice::from_ref(&path), directory.path()), None);
        std::fs::write(&path, "[pip]\nuser = 1\n").unwrap();
        assert_eq!(uv_file(std::slice::from_ref(&path), directory.path()), None);
        std::fs::write(&path, "= nonsense").unwrap();
        assert_eq!(uv_file(std::slice::from_ref(&path), directory.path()), Some(path));
    }
}
