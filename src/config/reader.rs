//! The layers, merged, and the one way a setting is taken out of them.
//!
//! Invariant: every value keeps where it came from, so that a wrong one can be found; and a key counts as known
//! when some section has asked for it, so that there is no second list of names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::sources::{Environment, Flag, Sources};
use super::value::{MASK, SettingValue};

const DEFAULTS: &str = include_str!("default.toml");
const PREFIX: &str = "ADE_";
/// Names the settings file; not a setting itself.
const CONFIG_VARIABLE: &str = "ADE_CONFIG";

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{key} is {value:?} ({origin}); allowed: {allowed}")]
    Invalid { key: String, value: String, origin: String, allowed: &'static str },
    #[error("{key} is empty ({origin}); allowed: {allowed}")]
    Empty { key: String, origin: String, allowed: &'static str },
    #[error("unknown key {key} ({origin}){hint}")]
    UnknownKey { key: String, origin: String, hint: String },
    #[error("{key} is given twice ({origin}): once plain, once nested")]
    Twice { key: String, origin: String },
    #[error("{key} is set and {missing} is not: both, or none of them")]
    Alone { key: &'static str, missing: &'static str },
    #[error("{key} is given ({origin}), and this program was built without the feature {feature}")]
    NotBuilt { key: String, origin: String, feature: &'static str },
    #[error("settings file {path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("layers of settings: {0}")]
    Layers(#[from] ConfigError),
}

/// Takes typed settings out of the merged layers.
pub(super) struct Reader {
    values: Map<String, Value>,
    data_dir: PathBuf,
    asked: BTreeSet<&'static str>,
    secrets: BTreeSet<&'static str>,
    effective: Vec<Effective>,
}

/// One line of `ade config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effective {
    pub key: &'static str,
    /// A TOML literal; none for a setting that is unset.
    pub literal: Option<String>,
    pub origin: String,
}

impl Reader {
    pub fn new(sources: &Sources) -> Result<Self, SettingsError> {
        let mut builder = config::Config::builder().add_source(Layer::defaults()?);
        if let Some(path) = settings_file(sources) {
            builder = builder.add_source(Layer::file(&path)?);
        }
        let layers = builder
            .add_source(Layer::environment(&sources.environment)?)
            .add_source(Layer::flags(&sources.flags))
            .build()?;
        let values = layers.collect()?;
        Ok(Self {
            values,
            data_dir: PathBuf::new(),
            asked: BTreeSet::new(),
            secrets: BTreeSet::new(),
            effective: Vec::new(),
        })
    }

    /// Settings of a feature that this program was built without: none of them may be other than by default.
    pub fn refuse_given(&self, prefix: &str, feature: &'static str) -> Result<(), SettingsError> {
        let defaults = Layer::defaults()?.0;
        let is_default = |key: &str, value: &Value| {
            text_of(value).unwrap_or_default() == defaults.get(key).and_then(text_of).unwrap_or_default()
        };
        let of_feature = self.values.iter().filter(|(key, _)| key.starts_with(prefix)).collect::<BTreeMap<_, _>>();
        match of_feature.into_iter().find(|(key, value)| !is_default(key, value)) {
            Some((key, value)) => Err(SettingsError::NotBuilt { key: key.clone(), origin: origin_of(value), feature }),
            None => Ok(()),
        }
    }

    /// A setting that has a default.
    pub fn required<T: SettingValue>(&mut self, key: &'static str) -> Result<T, SettingsError> {
        let (text, origin) = self.text(key)?;
        if text.is_empty() {
            return Err(SettingsError::Empty { key: key.to_owned(), origin, allowed: T::ALLOWED });
        }
        self.typed(key, text, origin)
    }

    /// A setting that may be unset; an empty text unsets it.
    pub fn optional<T: SettingValue>(&mut self, key: &'static str) -> Result<Option<T>, SettingsError> {
        let (text, origin) = self.text(key)?;
        if text.is_empty() {
            self.effective.push(Effective { key, literal: None, origin });
            return Ok(None);
        }
        self.typed(key, text, origin).map(Some)
    }

    /// The directory that `<data_dir>` stands for from here on.
    pub fn data_dir(&mut self) -> Result<PathBuf, SettingsError> {
        self.data_dir = self.directory("data_dir")?;
        Ok(self.data_dir.clone())
    }

    /// A directory, absolute.
    pub fn directory(&mut self, key: &'static str) -> Result<PathBuf, SettingsError> {
        let (text, origin) = self.text(key)?;
        let folder = std::path::absolute(&text).map_err(|_| SettingsError::Empty {
            key: key.to_owned(),
            origin: origin.clone(),
            allowed: PathBuf::ALLOWED,
        })?;
        self.effective.push(Effective { key, literal: Some(folder.to_toml()), origin });
        Ok(folder)
    }

    /// An environment without the secrets that were read.
    pub fn without_secrets(&self, environment: &Environment) -> Environment {
        let is_secret = |name: &str| key_of(name).is_some_and(|key| self.secrets.contains(key.as_str()));
        environment
            .iter()
            .filter(|(name, _)| !is_secret(name))
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect()
    }

    /// What every section has read, and the variables that none of them knows.
    pub fn finish(self) -> Result<(Vec<Effective>, Vec<String>), SettingsError> {
        let mut unknown = Vec::new();
        for (key, value) in &self.values {
            if self.asked.contains(key.as_str()) {
                continue;
            }
            let origin = origin_of(value);
            match origin.strip_prefix("variable ") {
                Some(variable) => unknown.push(variable.to_owned()),
                None => return Err(SettingsError::UnknownKey { key: key.clone(), origin, hint: self.hint(key) }),
            }
        }
        unknown.sort();
        Ok((self.effective, unknown))
    }

    /// A value that is allowed by itself, and not beside another.
    pub fn contradiction(&self, key: &'static str, allowed: &'static str) -> SettingsError {
        let value = self.values.get(key);
        SettingsError::Invalid {
            key: key.to_owned(),
            value: value.and_then(text_of).unwrap_or_default(),
            origin: value.map_or_else(|| "default".to_owned(), origin_of),
            allowed,
        }
    }

    fn text(&mut self, key: &'static str) -> Result<(String, String), SettingsError> {
        self.asked.insert(key);
        let Some(value) = self.values.get(key) else { return Ok((String::new(), "default".to_owned())) };
        let origin = origin_of(value);
        let text = text_of(value).ok_or_else(|| SettingsError::Invalid {
            key: key.to_owned(),
            value: value.to_string(),
            origin: origin.clone(),
            allowed: "a text, a number, true or false",
        })?;
        let data_dir = match text.starts_with("sqlite:") {
            true => url_path(&self.data_dir),
            false => self.data_dir.to_string_lossy().into_owned(),
        };
        Ok((text.replace("<data_dir>", &data_dir), origin))
    }

    fn typed<T: SettingValue>(&mut self, key: &'static str, text: String, origin: String) -> Result<T, SettingsError> {
        if T::IS_SECRET {
            self.secrets.insert(key);
        }
        let value = T::parse(text.trim()).ok_or_else(|| SettingsError::Invalid {
            key: key.to_owned(),
            value: if T::IS_SECRET { MASK.to_owned() } else { text },
            origin: origin.clone(),
            allowed: T::ALLOWED,
        })?;
        self.effective.push(Effective { key, literal: Some(value.to_toml()), origin });
        Ok(value)
    }

    /// The known keys that share a word with a wrong one.
    fn hint(&self, wrong: &str) -> String {
        let near = self.asked.iter().filter(|known| wrong.split('_').any(|word| known.split('_').any(|w| w == word)));
        match near.copied().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => String::new(),
            names => format!("; known are {names}"),
        }
    }
}

/// The file of settings that these sources name.
pub(super) fn settings_file(sources: &Sources) -> Option<PathBuf> {
    let named = sources.environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    sources.file.clone().or_else(|| named.map(PathBuf::from))
}

/// The key that a variable sets.
fn key_of(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(PREFIX).filter(|_| variable != CONFIG_VARIABLE)?;
    Some(rest.to_ascii_lowercase().replace("__", "_"))
}

fn origin_of(value: &Value) -> String {
    value.origin().unwrap_or("default").to_owned()
}

/// Scalars as text; a list as its items separated by commas.
fn text_of(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Array(items) => items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        ValueKind::Table(_) => None,
        _ => value.clone().into_string().ok(),
    }
}

/// One layer: flat keys, each value with the name of its source.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl Layer {
    fn defaults() -> Result<Self, SettingsError> {
        let mut layer = Self(Map::new());
        layer.flatten("", File::from_str(DEFAULTS, FileFormat::Toml).collect()?, "default")?;
        Ok(layer)
    }

    fn file(path: &Path) -> Result<Self, SettingsError> {
        let wrong = |reason: String| SettingsError::File { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let tables = File::from_str(&text, FileFormat::Toml).collect().map_err(|error| wrong(error.to_string()))?;
        let mut layer = Self(Map::new());
        layer.flatten("", tables, &format!("file {}", path.display()))?;
        Ok(layer)
    }

    fn environment(environment: &Environment) -> Result<Self, SettingsError> {
        let mut layer = Self(Map::new());
        for (name, text) in environment {
            let Some(key) = key_of(name) else { continue };
            layer.insert(key, ValueKind::String(text.clone()), &format!("variable {name}"))?;
        }
        Ok(layer)
    }

    fn flags(flags: &[Flag]) -> Self {
        let value = |flag: &Flag| Value::new(Some(&format!("flag {}", flag.name)), flag.value.clone());
        Self(flags.iter().map(|flag| (flag.key.to_owned(), value(flag))).collect())
    }

    /// Nested tables join their names with an underscore.
    fn flatten(&mut self, prefix: &str, tables: Map<String, Value>, origin: &str) -> Result<(), SettingsError> {
        // Sorted, so that the same file always complains about the same key.
        for (name, value) in tables.into_iter().collect::<BTreeMap<_, _>>() {
            let key = if prefix.is_empty() { name } else { format!("{prefix}_{name}") };
            match value.kind {
                ValueKind::Table(inner) => self.flatten(&key, inner, origin)?,
                kind => self.insert(key, kind, origin)?,
            }
        }
        Ok(())
    }

    fn insert(&mut self, key: String, kind: ValueKind, origin: &str) -> Result<(), SettingsError> {
        match self.0.insert(key.clone(), Value::new(Some(&origin.to_owned()), kind)) {
            None => Ok(()),
            Some(_) => Err(SettingsError::Twice { key, origin: origin.to_owned() }),
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layer").field(&self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
/// A path as a URL has it: `?` would begin the query, `#` the fragment, `%` an escape.
pub fn url_path(path: &Path) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    percent_encode(path.as_os_str().as_bytes(), ESCAPED).to_string()
}
