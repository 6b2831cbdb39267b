//! The journal of this node in a cluster of NATS servers, and the other nodes. Unset, nothing of it exists: no client, no
//! thread.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::reader::{Reader, SettingsError};
use super::value::{BaseUrl, Durability, MASK, Period, Secret, SettingValue, Size, quoted};

/// The cluster that keeps the journal of this node.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// `ADE_CLUSTER_NATS`, unset: the journal is on the disk. Addresses of the servers.
    pub servers: Vec<String>,
    /// `ADE_CLUSTER_NAME`, `ade`. Which service, where several share the servers.
    pub name: String,
    /// `ADE_CLUSTER_NODE`, unset: the id of the data directory. Which node of it.
    pub node: Option<String>,
    /// How it signs in to the servers.
    pub sign_in: ClusterSignIn,
    /// `ADE_CLUSTER_NATS_CA_FILE`, unset: the certificates of the system. Those that are trusted.
    pub ca_file: Option<PathBuf>,
    /// `ADE_CLUSTER_NATS_CERT` and `ADE_CLUSTER_NATS_KEY`, unset.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// `ADE_CLUSTER_KEEP`, `256MiB`. Of the rounds whose logs are durable here, as many bytes stay as a second copy.
    pub keep_bytes: u64,
    /// `ADE_CLUSTER_PATIENCE`, `7s`. A node among others that can record nothing for so long ends, with its work.
    pub patience: Duration,
    /// None: no other node knows this one.
    pub peers: Option<PeerSettings>,
}

/// What the nodes of a cluster know of each other.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// `ADE_CLUSTER_ADVERTISE`. Where the other nodes reach the HTTP interface of this one; without a slash at its end.
    pub advertise: String,
    /// `ADE_CLUSTER_SECRET`. By which they know each other; the same on all of them.
    pub secret: SecretString,
    /// `ADE_CLUSTER_CA_FILE`, unset: public ones. Certificates to trust where the others speak TLS.
    pub ca_file: Option<PathBuf>,
}

/// One of them, or none.
#[derive(Debug, Clone)]
pub enum ClusterSignIn {
    None,
    /// `ADE_CLUSTER_NATS_USER` and `ADE_CLUSTER_NATS_PASSWORD`.
    Password {
        user: String,
        password: SecretString,
    },
    /// `ADE_CLUSTER_NATS_TOKEN`.
    Token(SecretString),
    /// `ADE_CLUSTER_NATS_CREDENTIALS`. A file, as `nsc` makes it.
    File(PathBuf),
}

impl ClusterSettings {
    pub(super) fn read(
        reader: &mut Reader,
        durability: Durability,
        database_url: &str,
    ) -> Result<Option<Self>, SettingsError> {
        let servers = reader.optional::<Servers>("cluster_nats")?;
        let settings = Self {
            name: reader.required::<Name>("cluster_name")?.0,
            node: reader.optional::<Name>("cluster_node")?.map(|name| name.0),
            sign_in: ClusterSignIn::read(reader)?,
            ca_file: reader.optional("cluster_nats_ca_file")?,
            certificate: pair(reader, "cluster_nats_cert", "cluster_nats_key")?,
            keep_bytes: reader.required::<Size>("cluster_keep")?.0,
            patience: reader.required::<Period>("cluster_patience")?.0,
            peers: PeerSettings::read(reader, servers.is_some(), database_url)?,
            servers: Vec::new(),
        };
        let Some(Servers(servers)) = servers else { return Ok(None) };
        if durability != Durability::Fsync {
            let allowed = "fsync where cluster_nats is set: what counts is on the disks of other machines";
            return Err(reader.contradiction("log_durability", allowed));
        }
        Ok(Some(Self { servers, ..settings }))
    }
}

impl PeerSettings {
    fn read(reader: &mut Reader, has_servers: bool, database_url: &str) -> Result<Option<Self>, SettingsError> {
        let both = pair::<Advertised, ClusterSecret>(reader, "cluster_advertise", "cluster_secret")?;
        let ca_file = reader.optional("cluster_ca_file")?;
        let Some((advertise, secret)) = both else { return Ok(None) };
        if !has_servers {
            return Err(reader.contradiction("cluster_advertise", "unset where cluster_nats is not set"));
        }
        if !["postgres:", "postgresql:"].iter().any(|scheme| database_url.starts_with(scheme)) {
            let allowed = "unset where database_url is not PostgreSQL: the nodes of a cluster share the database";
            return Err(reader.contradiction("cluster_advertise", allowed));
        }
        Ok(Some(Self { advertise: advertise.0, secret: secret.0, ca_file }))
    }
}

impl ClusterSignIn {
    fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        let password = pair::<String, Secret>(reader, "cluster_nats_user", "cluster_nats_password")?;
        let token = reader.optional::<Secret>("cluster_nats_token")?;
        let file = reader.optional("cluster_nats_credentials")?;
        match (password, token, file) {
            (None, None, None) => Ok(Self::None),
            (Some((user, password)), None, None) => Ok(Self::Password { user, password: password.0 }),
            (None, Some(token), None) => Ok(Self::Token(token.0)),
            (None, None, Some(file)) => Ok(Self::File(file)),
            (_, _, Some(_)) => {
                Err(reader.contradiction("cluster_nats_credentials", "unset beside a user or a token of cluster_nats"))
            }
            (Some(_), Some(_), None) => {
                Err(reader.contradiction("cluster_nats_user", "unset beside cluster_nats_token"))
            }
        }
    }
}

/// Two settings that come together.
fn pair<A: SettingValue, B: SettingValue>(
    reader: &mut Reader,
    first: &'static str,
    second: &'static str,
) -> Result<Option<(A, B)>, SettingsError> {
    match (reader.optional(first)?, reader.optional(second)?) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::Alone { key: first, missing: second }),
        (None, Some(_)) => Err(SettingsError::Alone { key: second, missing: first }),
    }
}

/// Addresses of NATS servers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Servers(Vec<String>);

impl SettingValue for Servers {
    const ALLOWED: &'static str = "addresses nats://<host>:<port> or tls://<host>:<port>, separated by commas, without a user: that is \
         cluster_nats_user";

    fn parse(text: &str) -> Option<Self> {
        let servers = text.split([',', ' ']).map(str::trim).filter(|server| !server.is_empty());
        let servers: Option<Vec<_>> = servers.map(|server| is_server(server).then(|| server.to_owned())).collect();
        servers.filter(|servers| !servers.is_empty()).map(Self)
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.join(","))
    }
}

/// The address of an HTTP interface, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Advertised(String);

impl SettingValue for Advertised {
    const ALLOWED: &'static str = "http://<host>:<port> or https://<host>:<port>, without a path";

    fn parse(text: &str) -> Option<Self> {
        let BaseUrl(url) = BaseUrl::parse(text)?;
        let (_, authority) = url.split_once("://")?;
        is_host_and_port(authority).then_some(Self(url))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// A secret that the nodes of a cluster share.
#[derive(Debug, Clone)]
struct ClusterSecret(SecretString);

impl SettingValue for ClusterSecret {
    const ALLOWED: &'static str = "at least 16 visible ASCII characters, better 32 random ones";
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        let Secret(secret) = Secret::parse(text)?;
        (text.len() >= 16).then_some(Self(secret))
    }

    fn to_toml(&self) -> String {
        quoted(MASK)
    }
}

fn is_server(text: &str) -> bool {
    let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    rest.is_some_and(is_host_and_port)
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A part of the name of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name(String);

impl SettingValue for Name {
    const ALLOWED: &'static str = "up to 64 letters, digits, - and _";

    fn parse(text: &str) -> Option<Self> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(is_part)).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources};
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::load(&Sources { environment, ..Sources::default() })
    }

    const SERVERS: (&str, &str) = ("ADE_CLUSTER_NATS", "nats://a:4222,tls://b.example:4222, nats://[::1]:4222");

    #[test]
    fn without_servers_there_is_no_cluster() {
        assert!(load(&[]).unwrap().cluster.is_none());
        assert!(load(&[("ADE_CLUSTER_NAME", "x")]).unwrap().cluster.is_none());
        let cluster = load(&[SERVERS]).unwrap().cluster.unwrap();
        assert_eq!((cluster.servers.len(), cluster.name.as_str(), cluster.keep_bytes), (3, "ade", 256 << 20));
        assert!(matches!(cluster.sign_in, ClusterSignIn::None));
    }

    #[test]
    fn addresses_have_no_user_and_names_are_parts_of_a_subject() {
        for (name, value) in [
            ("ADE_CLUSTER_NATS", "a:4222"),
            ("ADE_CLUSTER_NATS", "nats://user:word@a:4222"),
            ("ADE_CLUSTER_NATS", "nats://a"),
            ("ADE_CLUSTER_NATS", "http://a:4222"),
            ("ADE_CLUSTER_NAME", "a.b"),
            ("ADE_CLUSTER_NODE", "a b"),
            ("ADE_CLUSTER_NODE", "*"),
        ] {
            let error = load(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_cluster_has_no_durability_of_its_own() {
        let error = load(&[SERVERS, ("ADE_LOG_DURABILITY", "write")]).unwrap_err().to_string();
        assert!(error.contains("log_durability is \"write\"") && error.contains("cluster_nats"), "{error}");
    }

    #[test]
    fn it_signs_in_one_way_and_the_secret_is_shown_nowhere() {
        let whole = [SERVERS, ("ADE_CLUSTER_NATS_USER", "ade"), ("ADE_CLUSTER_NATS_PASSWORD", "very-secret")];
        let settings = load(&whole).unwrap();
        assert!(!format!("{settings:?}{}", settings.effective()).contains("very-secret"));
        assert!(!settings.environment.contains_key("ADE_CLUSTER_NATS_PASSWORD"));
        let token = [SERVERS, ("ADE_CLUSTER_NATS_TOKEN", "very-secret")];
        assert!(!format!("{:?}", load(&token).unwrap()).contains("very-secret"));
        let error = load(&whole[..2]).unwrap_err().to_string();
        assert!(error.contains("cluster_nats_password is not"), "{error}");
        for other in [("ADE_CLUSTER_NATS_TOKEN", "t"), ("ADE_CLUSTER_NATS_CREDENTIALS", "/c")] {
            let error = load(&[&whole[..], &[other]].concat()).unwrap_err().to_string();
            assert!(error.contains("unset beside"), "{error}");
        }
    }

    const POSTGRES: (&str, &str) = ("ADE_DATABASE_URL", "postgres://ade@db/ade");
    const ADVERTISE: (&str, &str) = ("ADE_CLUSTER_ADVERTISE", "http://10.0.0.1:8000/");
    const SECRET: (&str, &str) = ("ADE_CLUSTER_SECRET", "sixteen-or-more!");

    #[test]
    fn nodes_that_know_each_other_have_an_address_and_a_secret() {
        let settings = load(&[SERVERS, POSTGRES, ADVERTISE, SECRET]).unwrap();
        assert!(!format!("{settings:?}{}", settings.effective()).contains("sixteen"));
        assert!(!settings.environment.contains_key("ADE_CLUSTER_SECRET"));
        let peers = settings.cluster.unwrap().peers.unwrap();
        assert_eq!((peers.advertise.as_str(), peers.ca_file), ("http://10.0.0.1:8000", None));
        assert!(load(&[SERVERS, POSTGRES]).unwrap().cluster.unwrap().peers.is_none());
    }

    #[test]
    fn what_the_nodes_need_of_each_other_is_asked_for_by_name() {
        let of = |name, value| load(&[SERVERS, POSTGRES, ADVERTISE, SECRET, (name, value)]);
        for (outcome, expected) in [
            (load(&[SERVERS, POSTGRES, ADVERTISE]), "cluster_secret is not"),
            (load(&[SERVERS, POSTGRES, SECRET]), "cluster_advertise is not"),
            (load(&[POSTGRES, ADVERTISE, SECRET]), "cluster_nats is not set"),
            (load(&[SERVERS, ADVERTISE, SECRET]), "database_url is not PostgreSQL"),
            (of("ADE_CLUSTER_SECRET", "too-short"), "at least 16"),
            (of("ADE_CLUSTER_ADVERTISE", "10.0.0.1:8000"), "without a path"),
            (of("ADE_CLUSTER_ADVERTISE", "http://10.0.0.1"), "without a path"),
            (of("ADE_CLUSTER_ADVERTISE", "http://10.0.0.1:8000/ade"), "without a path"),
            (of("ADE_CLUSTER_ADVERTISE", "http://user@10.0.0.1:8000"), "without a path"),
        ] {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("too-short"), "{error}");
        }
    }
}
