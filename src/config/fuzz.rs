//! Settings, as an environment gives them.

use super::{Environment, Settings, Sources};

const SECRETS: [&str; 6] = [
    "ADE_ANTHROPIC_API_KEY",
    "ADE_OPENAI_API_KEY",
    "ADE_CLUSTER_NATS_PASSWORD",
    "ADE_CLUSTER_NATS_TOKEN",
    "ADE_OBJECT_STORE_KEY_ID",
    "ADE_OBJECT_STORE_SECRET",
];

/// Each line is `name=value`, of a variable that begins with `ADE_`. What is accepted is told as TOML.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    // That one names a file.
    let pairs = pairs.filter(|(name, _)| !name.eq_ignore_ascii_case("config"));
    let environment: Environment = pairs.map(|(name, value)| (format!("ADE_{name}"), value.to_owned())).collect();
    let sources = Sources { environment, ..Sources::default() };
    let settings = match Settings::load(&sources) {
        Ok(settings) => settings,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let effective = settings.effective();
    assert!(toml::de::DeTable::parse(&effective).is_ok(), "{effective}");
    let told = format!("{effective}{settings:?}");
    let is_secret = |(name, _): &(&String, &String)| SECRETS.contains(&name.as_str());
    for (secret, value) in sources.environment.iter().filter(is_secret) {
        // Short ones, and those that are the value of another setting too, are told for another reason.
        let is_elsewhere =
            sources.environment.iter().any(|(name, other)| name != secret && other.contains(value.as_str()));
        assert!(value.len() < 20 || is_elsewhere || !told.contains(value.as_str()), "{told}");
    }
}
