//! The providers by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::anthropic::Anthropic;
use super::builtin::Builtin;
use super::http::Client;
use super::meters::CallMeters;
use super::openai::OpenAi;
use super::parameters::{Fixed, Known};
use super::pricing::{PriceTable, PricesError};
use super::retry::Policy;
use super::{Limits, Provider, ProviderName};
use crate::outbound::CertificatesError;

/// The address of OpenAI itself; any other is a compatible server.
const OPENAI: &str = "https://api.openai.com/v1";

/// What providers need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// For steps that name none.
    pub default: ProviderName,
    pub anthropic: Endpoint,
    pub openai: Endpoint,
    /// What is sent to it, as far as the settings say.
    pub openai_parameters: Fixed,
    pub limits: Limits,
    /// Certificates (PEM) that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// The address of a provider, and its key.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub base_url: String,
    pub key: Option<SecretString>,
}

/// There is no such provider here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProvider {
    #[error("there is no provider {name:?}; known are builtin, anthropic and openai")]
    Unknown { name: String },
    #[error("the provider {name} needs a key: set {variable}")]
    NoKey { name: &'static str, variable: &'static str },
}

/// Why the settings of language models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error(transparent)]
    NoProvider(#[from] NoProvider),
    #[error(transparent)]
    Prices(#[from] PricesError),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
}

/// Everything that calls need.
#[derive(Clone)]
pub struct Models {
    pub providers: Providers,
    pub prices: Arc<PriceTable>,
    pub retries: Policy,
    pub meters: CallMeters,
}

impl Models {
    pub fn new(options: Options, retries: Policy, prices: Option<&Path>) -> Result<Self, ModelsError> {
        Ok(Self {
            providers: Providers::new(options)?,
            prices: Arc::new(PriceTable::load(prices)?),
            retries,
            meters: CallMeters::default(),
        })
    }
}

/// Every provider that can be called.
#[derive(Clone)]
pub struct Providers {
    default: ProviderName,
    builtin: Arc<dyn Provider>,
    anthropic: Option<Arc<dyn Provider>>,
    openai: Option<Arc<dyn Provider>>,
}

impl Providers {
    /// Refused when the default provider cannot be called.
    pub fn new(options: Options) -> Result<Self, ModelsError> {
        let client = Client::new(options.limits, options.ca_file.as_deref())?;
        let providers = Self {
            default: options.default,
            builtin: Arc::new(Builtin),
            anthropic: anthropic(options.anthropic, client.clone()),
            openai: openai(options.openai, options.openai_parameters, client),
        };
        providers.get(None)?;
        Ok(providers)
    }

    pub fn default_name(&self) -> ProviderName {
        self.default
    }

    /// A provider by the name that a step gives it; the default one without.
    pub fn get(&self, name: Option<&str>) -> Result<Arc<dyn Provider>, NoProvider> {
        let unknown = |name: &str| NoProvider::Unknown { name: name.to_owned() };
        let name = name.map_or(Ok(self.default), |name| ProviderName::parse(name).ok_or_else(|| unknown(name)))?;
        let (provider, variable) = match name {
            ProviderName::Builtin => return Ok(self.builtin.clone()),
            ProviderName::Anthropic => (&self.anthropic, "ADE_ANTHROPIC_API_KEY"),
            ProviderName::OpenAi => (&self.openai, "ADE_OPENAI_API_KEY"),
        };
        provider.clone().ok_or(NoProvider::NoKey { name: name.as_str(), variable })
    }
}

fn anthropic(endpoint: Endpoint, client: Client) -> Option<Arc<dyn Provider>> {
    let Endpoint { base_url, key } = endpoint;
    Some(Arc::new(Anthropic { client, key: key?, base_url }))
}

fn openai(endpoint: Endpoint, parameters: Fixed, client: Client) -> Option<Arc<dyn Provider>> {
    let Endpoint { base_url, key } = endpoint;
    let is_openai = base_url == OPENAI;
    let known = Arc::new(Known::new(parameters, is_openai));
    (key.is_some() || !is_openai).then(|| Arc::new(OpenAi { client, key, base_url, known }) as Arc<dyn Provider>)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(default: ProviderName, anthropic: Option<&str>, openai: (&str, Option<&str>)) -> Options {
        let endpoint = |base_url: &str, key: Option<&str>| Endpoint {
            base_url: base_url.to_owned(),
            key: key.map(SecretString::from),
        };
        Options {
            default,
            anthropic: endpoint("https://api.anthropic.com", anthropic),
            openai: endpoint(openai.0, openai.1),
            openai_parameters: Fixed::default(),
            limits: Limits::default(),
            ca_file: None,
        }
    }

    #[test]
    fn a_provider_is_found_by_its_name_or_by_default() {
        let providers = Providers::new(options(ProviderName::Anthropic, Some("k"), (OPENAI, Some("k")))).unwrap();
        let name = |asked| providers.get(asked).map(|provider| provider.name());
        assert_eq!(name(None), Ok(ProviderName::Anthropic));
        for &known in ProviderName::ALL {
            assert_eq!(name(Some(known.as_str())), Ok(known));
        }
        assert_eq!(name(Some("OpenAI")), Err(NoProvider::Unknown { name: "OpenAI".to_owned() }));
    }

    #[test]
    fn a_missing_key_is_told_by_its_variable() {
        let providers = Providers::new(options(ProviderName::Builtin, None, (OPENAI, None))).unwrap();
        for (name, variable) in [("anthropic", "ADE_ANTHROPIC_API_KEY"), ("openai", "ADE_OPENAI_API_KEY")] {
            let error = providers.get(Some(name)).err().unwrap();
            assert_eq!(error.to_string(), format!("the provider {name} needs a key: set {variable}"));
        }
        let without = Providers::new(options(ProviderName::Anthropic, None, (OPENAI, None)));
        let error = without.err().unwrap();
        assert!(matches!(error, ModelsError::NoProvider(NoProvider::NoKey { name: "anthropic", .. })), "{error}");
    }

    #[test]
    fn a_server_of_ones_own_needs_no_key() {
        let local = Providers::new(options(ProviderName::OpenAi, None, ("http://127.0.0.1:11434/v1", None)));
        assert!(local.is_ok_and(|providers| providers.get(None).is_ok()));
    }

    #[test]
    fn certificates_that_cannot_be_read_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [std::path::PathBuf::from("/nowhere/ca.pem"), file.path().to_owned()] {
            let options =
                Options { ca_file: Some(path.clone()), ..options(ProviderName::Builtin, None, (OPENAI, None)) };
            let error = Providers::new(options).err().unwrap().to_string();
            assert!(error.starts_with(&format!("certificates {}: ", path.display())), "{error}");
        }
    }

    #[test]
    fn options_do_not_show_a_key() {
        let options = options(ProviderName::Builtin, Some("sk-very-secret"), (OPENAI, Some("sk-very-secret")));
        assert!(!format!("{options:?}").contains("very-secret"));
    }
}
