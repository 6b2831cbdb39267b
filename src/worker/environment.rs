//! The environment of children: an allow-list of the service's own, which is given and never read here.
//!
//! Invariant: what is not named here, or by the operator, does not reach a child; the service's secrets least of all.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Names and values, as a process has them.
pub type Environment = BTreeMap<OsString, OsString>;

/// What every child may need: where things are, in which language, and how to reach the network.
const COMMON: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// The variables of `service` that any child may see, and those that `also` accepts.
pub fn allowed(service: &Environment, also: impl Fn(&str) -> bool) -> Environment {
    let keep = |name: &OsStr| name.to_str().is_some_and(|name| COMMON.contains(&name) || also(name));
    service.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Puts a directory in front of `PATH`.
pub fn prepend_path(environment: &mut Environment, directory: &std::path::Path) {
    let rest = environment.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut path = directory.as_os_str().to_owned();
    path.push(":");
    path.push(rest);
    environment.insert("PATH".into(), path);
}

/// For a child that reaches no files but its own: what it puts away for a moment, and what it looks for of its user, is
/// there.
pub fn live_in(environment: &mut Environment, directory: &std::path::Path) {
    for name in ["TMPDIR", "HOME"] {
        environment.insert(name.into(), directory.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_passes() {
        let service: Environment =
            [("PATH", "/bin"), ("ADE_SECRET", "s"), ("HOMEX", "x"), ("MINE", "m"), ("LANG", "C")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        let names: Vec<_> = allowed(&service, |name| name == "MINE").into_keys().collect();
        assert_eq!(names, ["LANG", "MINE", "PATH"]);
    }

    #[test]
    fn the_first_folder_of_the_path_wins() {
        let mut environment = Environment::from([("PATH".into(), "/bin".into())]);
        prepend_path(&mut environment, std::path::Path::new("/venv/bin"));
        assert_eq!(environment[OsStr::new("PATH")], "/venv/bin:/bin");
    }
}
