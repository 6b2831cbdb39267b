//! What the text of a setting may be: every kind of value, its spellings and how it is written back.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

/// A kind of value: read from the text of any layer, written back as a TOML literal.
pub trait SettingValue: Sized {
    /// What is allowed, in words, for the message about a wrong value.
    const ALLOWED: &'static str;
    /// Never shown, not even when it is wrong, and not for child processes.
    const IS_SECRET: bool = false;

    fn parse(text: &str) -> Option<Self>;

    fn to_toml(&self) -> String;
}

/// What stands for a secret where settings are shown.
pub const MASK: &str = "***";

/// A TOML string literal.
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            control if control.is_control() => literal.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => literal.push(plain),
        }
    }
    literal.push('"');
    literal
}

impl SettingValue for bool {
    const ALLOWED: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// A count of at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);

impl SettingValue for Count {
    const ALLOWED: &'static str = "a whole number, at least 1";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|&count| count > 0).map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

/// How often in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub NonZeroU32);

impl SettingValue for Rate {
    const ALLOWED: &'static str = "a whole number of requests per second, at least 1";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

/// A count of at least one, or the number of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency(pub usize);

impl SettingValue for Concurrency {
    const ALLOWED: &'static str = "`cores` or a whole number, at least 1";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "cores" => Some(Self(std::thread::available_parallelism().map_or(1, usize::from))),
            number => Count::parse(number).map(|count| Self(count.0)),
        }
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

impl SettingValue for u64 {
    const ALLOWED: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Duration {
    const ALLOWED: &'static str = "a duration such as 500ms, 30s, 10m, 2h or 7d, or plain seconds";

    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        with_unit(text, &UNITS, 1_000).map(Self::from_millis)
    }

    fn to_toml(&self) -> String {
        match (self.as_secs(), self.subsec_millis()) {
            (seconds, 0) => quoted(&format!("{seconds}s")),
            _ => quoted(&format!("{}ms", self.as_millis())),
        }
    }
}

/// A duration between things that are done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl SettingValue for Period {
    const ALLOWED: &'static str = "a duration of at least a second, such as 30s, 10m, 2h or 7d";

    fn parse(text: &str) -> Option<Self> {
        Duration::parse(text).filter(|period| *period >= Duration::from_secs(1)).map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.to_toml()
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl SettingValue for Size {
    const ALLOWED: &'static str = "a size such as 25MiB, 10MB, 512KiB or 1GiB, or plain bytes";

    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 7] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
        ];
        with_unit(text, &UNITS, 1).map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

/// `12unit` in the smallest unit. The unit is the first whose name follows the digits exactly, case aside.
fn with_unit(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" => plain,
        unit => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl SettingValue for String {
    const ALLOWED: &'static str = "a text that is not empty";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }
}

impl SettingValue for PathBuf {
    const ALLOWED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// The port of an address that has none.
const PORT: u16 = 8000;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAddress(pub SocketAddr);

impl SettingValue for BindAddress {
    const ALLOWED: &'static str = "an address such as 127.0.0.1:8000, 0.0.0.0:8000, [::1]:0 or localhost";

    fn parse(text: &str) -> Option<Self> {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address: SocketAddr = match text.strip_prefix("localhost") {
            Some("") => local(PORT),
            Some(rest) => local(rest.strip_prefix(':')?.parse().ok()?),
            None => text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, PORT)))?,
        };
        Some(Self(address))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.to_string())
    }
}

/// A database URL of a scheme that the store speaks; the password is masked when it is written back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl SettingValue for DatabaseUrl {
    const ALLOWED: &'static str = "a URL sqlite://<path> or postgres://<user>:<password>@<host>:<port>/<database>";

    fn parse(text: &str) -> Option<Self> {
        let is_known = ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme));
        is_known.then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&mask_password(&self.0))
    }
}

fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user_info, _)) = authority.rsplit_once('@') else { return url.to_owned() };
    let Some((user, password)) = user_info.split_once(':') else { return url.to_owned() };
    format!("{scheme}://{user}:***{}", &rest[user.len() + 1 + password.len()..])
}

/// A key for a third-party service.
#[derive(Debug, Clone)]
pub struct Secret(pub SecretString);

impl SettingValue for Secret {
    const ALLOWED: &'static str = "a key of visible ASCII characters, without blanks";
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        // It travels in a header.
        let is_sendable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_sendable.then(|| Self(SecretString::from(text)))
    }

    fn to_toml(&self) -> String {
        quoted(MASK)
    }
}

/// The address of a service, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(pub String);

impl SettingValue for BaseUrl {
    const ALLOWED: &'static str =
        "a URL http://<host>[:<port>][/<path>] or https://..., without user, query and fragment";

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let has_host = !rest.is_empty() && !rest.starts_with(['/', ':']);
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte));
        (has_host && is_plain).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// Origins of pages, `<scheme>://<host>[:<port>]` as browsers write them, separated by commas or blanks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(pub Vec<String>);

impl SettingValue for Origins {
    const ALLOWED: &'static str =
        "origins such as https://app.example.org or http://localhost:3000, in lower case, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
        let is_origin = |text: &&str| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.starts_with(':') && host.bytes().all(is_host))
        };
        let origins = text.split([',', ' ']).filter(|origin| !origin.is_empty()).collect::<Vec<_>>();
        origins.iter().all(is_origin).then(|| Self(origins.into_iter().map(str::to_owned).collect()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.join(","))
    }
}

/// Names, separated by commas or blanks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(pub Vec<String>);

impl SettingValue for Names {
    const ALLOWED: &'static str = "names separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        (!names.iter().any(|name| name.contains('='))).then_some(Self(names))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.join(","))
    }
}

/// Absolute paths, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths(pub Vec<PathBuf>);

impl SettingValue for Paths {
    const ALLOWED: &'static str = "absolute paths separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let paths =
            text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect::<Vec<_>>();
        paths.iter().all(|path| path.is_absolute()).then_some(Self(paths))
    }

    fn to_toml(&self) -> String {
        let paths: Vec<_> = self.0.iter().map(|path| path.to_string_lossy()).collect();
        quoted(&paths.join(","))
    }
}

/// Networks, or single addresses, separated by commas or blanks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub Vec<IpNet>);

impl SettingValue for Networks {
    const ALLOWED: &'static str = "addresses or networks separated by commas, as 127.0.0.1 or 10.0.0.0/8";

    fn parse(text: &str) -> Option<Self> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse::<IpNet>().ok().or_else(address)
        };
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words.map(network).collect::<Option<Vec<_>>>().map(Self)
    }

    fn to_toml(&self) -> String {
        quoted(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }
}

/// A filter of the service's own log: `info`, or `info,ade::stream=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl SettingValue for LogFilter {
    const ALLOWED: &'static str = "error, warn, info, debug, trace, off, or a filter such as `info,ade::stream=debug`";

    fn parse(text: &str) -> Option<Self> {
        // A word that is no level would be taken as the name of a target, and the log would fall silent.
        let directives_mean_something = text.split(',').all(|directive| {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
            !level.is_empty() && level.parse::<tracing::level_filters::LevelFilter>().is_ok()
        });
        let valid = directives_mean_something && tracing_subscriber::EnvFilter::try_new(text).is_ok();
        valid.then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $allowed:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl SettingValue for $name {
            const ALLOWED: &'static str = $allowed;

            fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            fn to_toml(&self) -> String {
                quoted(self.as_str())
            }
        }
    )*};
}

words! {
    /// Who installs packages into a new environment.
    Installer: "auto, uv or pip" { Auto = "auto", Uv = "uv", Pip = "pip" }

    /// Whether children are kept to what is theirs.
    Isolation: "on, off or required" { On = "on", Off = "off", Required = "required" }

    /// Where files of workspaces are.
    KeptIn: "disk or store" { Disk = "disk", Store = "store" }

    /// What an acknowledged event has survived.
    Durability: "fsync or write" {
        /// The loss of the host.
        Fsync = "fsync",
        /// The death of the process.
        Write = "write",
    }

    /// The provider for steps that name none.
    LlmProvider: "builtin, anthropic or openai" { Builtin = "builtin", Anthropic = "anthropic", OpenAi = "openai" }

    /// Whether chat completions are asked for their tokens; `auto` stops doing so where a server refuses it.
    StreamOptions: "auto, on or off" { Auto = "auto", On = "on", Off = "off" }

    /// How the limit is passed to chat completions; `auto` takes the other name where a server refuses one.
    TokenLimit: "auto, max_tokens or max_completion_tokens" {
        Auto = "auto",
        MaxTokens = "max_tokens",
        MaxCompletionTokens = "max_completion_tokens",
    }

    /// What a group of a provider of OpenID Connect allows.
    MappedRole: "viewer, operator or admin" { Viewer = "viewer", Operator = "operator", Admin = "admin" }

    /// How the service's own log is written.
    LogFormat: "text or json" { Text = "text", Json = "json" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_or_plain_seconds() {
        let cases =
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("2h", 7_200_000), ("7d", 604_800_000), ("45", 45_000)];
        for (text, milliseconds) in cases {
            assert_eq!(Duration::parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "s", "-1s", "1.5s", "10 parsecs", "1s2", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_take_binary_and_decimal_units_or_plain_bytes() {
        let cases =
            [("25MiB", 26_214_400), ("10MB", 10_000_000), ("512kib", 524_288), ("1 GB", 1_000_000_000), ("7", 7)];
        for (text, bytes) in cases {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for bad in ["", "MiB", "-5", "5 apples", "99999999999GiB"] {
            assert_eq!(Size::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for good in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:8000", "localhost:8000"] {
            assert!(BindAddress::parse(good).is_some(), "{good}");
        }
        for (short, whole) in [
            ("127.0.0.1", "127.0.0.1:8000"),
            ("localhost", "127.0.0.1:8000"),
            ("::1", "[::1]:8000"),
            ("[::1]", "[::1]:8000"),
        ] {
            assert_eq!(BindAddress::parse(short), BindAddress::parse(whole), "{short}");
        }
        for bad in ["localhost:x", "localhost:", "example.org", ":80", ""] {
            assert!(BindAddress::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let parsed = Origins::parse("https://app.example.org, http://localhost:3000 https://[::1]:8443").unwrap();
        assert_eq!(parsed.0, ["https://app.example.org", "http://localhost:3000", "https://[::1]:8443"]);
        for bad in
            ["*", "app.example.org", "https://", "https://a/", "https://A.example", "null", "https://u@a", "https://:1"]
        {
            assert_eq!(Origins::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_log_filter_is_made_of_levels() {
        for good in ["info", "off", "warn,ade::stream=trace"] {
            assert!(LogFilter::parse(good).is_some(), "{good}");
        }
        for bad in ["", "loud", "info,ade=loud", "ade::stream"] {
            assert!(LogFilter::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_written_back() {
        assert_eq!(mask_password("postgres://ada:se:cr@et@db/x"), "postgres://ada:***@db/x");
        assert_eq!(mask_password("postgres://ada@db/x"), "postgres://ada@db/x");
        assert_eq!(mask_password("sqlite:///tmp/a@b:c.db"), "sqlite:///tmp/a@b:c.db");
    }

    #[test]
    fn a_base_url_is_an_address_and_nothing_more() {
        for (text, expected) in [
            ("https://api.anthropic.com", Some("https://api.anthropic.com")),
            ("http://127.0.0.1:11434/v1/", Some("http://127.0.0.1:11434/v1")),
            ("http://[::1]:8080/v1", Some("http://[::1]:8080/v1")),
            ("api.anthropic.com", None),
            ("ftp://example.org", None),
            ("https://", None),
            ("https:///v1", None),
            ("http://:80", None),
            ("https://user:secret@example.org", None),
            ("https://example.org/?key=1", None),
            ("https://example.org/#x", None),
            ("https://exa mple.org", None),
        ] {
            assert_eq!(BaseUrl::parse(text).map(|url| url.0).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_can_be_sent_and_is_never_shown() {
        for bad in ["", "two words", "line\nbreak", "schlüssel"] {
            assert!(Secret::parse(bad).is_none(), "{bad}");
        }
        let secret = Secret::parse("sk-very-secret").unwrap();
        assert_eq!(secret.to_toml(), "\"***\"");
        assert!(!format!("{secret:?}").contains("very"));
    }

    #[test]
    fn a_literal_survives_quotes_and_control_characters() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }
}
