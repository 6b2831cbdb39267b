//! Settings: compiled-in defaults < file < `ADE_*` variables < flags.
//!
//! Invariant: nothing else reads an environment variable. The process's environment is read once at the start,
//! comes in as a map and stays available as [`Settings::environment`] for what child processes may see.

pub mod value;
mod user_ids;
mod sources;
mod reader;
mod oidc;
mod cluster;
mod archive;
mod files;
mod sections;
mod otel;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

use std::fmt::Write as _;
use std::path::PathBuf;

use reader::{Effective, Reader, settings_file};

pub use archive::{ArchiveSettings, BucketSettings, ObjectPlace};
pub use cluster::{ClusterSettings, ClusterSignIn, PeerSettings};
pub use files::FileSettings;
pub use oidc::{GroupSetting, OidcSettings};
pub use otel::OtelSettings;
pub use reader::{SettingsError, url_path};
pub use sections::{
    AccessSettings, BuildSettings, IsolationSettings, LimitSettings, LlmSettings, LogSettings, MaintenanceSettings,
    RunSettings, ServerSettings, StorageSettings, StreamSettings, TelemetrySettings, TlsSettings, WorkflowSettings,
};
pub use sources::{Environment, Flag, Sources};
pub use user_ids::UserIds;
pub use value::{
    Durability, Installer, Isolation, KeptIn, LlmProvider, LogFormat, MappedRole, StreamOptions, TokenLimit,
};

/// Every setting of the service, valid.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: ServerSettings,
    pub access: AccessSettings,
    pub storage: StorageSettings,
    pub build: BuildSettings,
    pub run: RunSettings,
    pub isolation: IsolationSettings,
    pub limits: LimitSettings,
    pub stream: StreamSettings,
    pub log: LogSettings,
    /// None: the journal is on the disk.
    pub cluster: Option<ClusterSettings>,
    /// None: logs stay in the data directory.
    pub archive: Option<ArchiveSettings>,
    pub files: FileSettings,
    pub maintenance: MaintenanceSettings,
    pub workflows: WorkflowSettings,
    pub llm: LlmSettings,
    pub telemetry: TelemetrySettings,
    pub otel: OtelSettings,
    /// The environment of this process, for the allow-lists of children; without secret settings.
    pub environment: Environment,
    /// The program that children are started with: this one, unless a test says otherwise.
    pub launcher: PathBuf,
    /// The settings file, if there is one.
    pub file: Option<PathBuf>,
    /// `ADE_*` variables that mean nothing here; worth a warning at start.
    pub unknown: Vec<String>,
    effective: Vec<Effective>,
}

impl Settings {
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(sources)?;
        // The storage comes first: what follows may speak of <data_dir>.
        let storage = StorageSettings::read(&mut reader)?;
        let server = ServerSettings::read(&mut reader)?;
        let log = LogSettings::read(&mut reader)?;
        let archive = ArchiveSettings::read(&mut reader)?;
        let mut settings = Self {
            access: AccessSettings::read(&mut reader, server.bind)?,
            server,
            build: BuildSettings::read(&mut reader)?,
            run: RunSettings::read(&mut reader)?,
            isolation: IsolationSettings::read(&mut reader)?,
            limits: LimitSettings::read(&mut reader)?,
            stream: StreamSettings::read(&mut reader)?,
            cluster: ClusterSettings::read(&mut reader, log.durability, &storage.database_url)?,
            log,
            storage,
            files: FileSettings::read(&mut reader, archive.is_some())?,
            archive,
            maintenance: MaintenanceSettings::read(&mut reader)?,
            workflows: WorkflowSettings::read(&mut reader)?,
            llm: LlmSettings::read(&mut reader)?,
            telemetry: TelemetrySettings::read(&mut reader)?,
            otel: OtelSettings::read(&mut reader)?,
            environment: Environment::new(),
            // Not a path that another release may be put under meanwhile.
            launcher: "/proc/self/exe".into(),
            file: settings_file(sources),
            unknown: Vec::new(),
            effective: Vec::new(),
        };
        settings.environment = reader.without_secrets(&sources.environment);
        (settings.effective, settings.unknown) = reader.finish()?;
        Ok(settings)
    }

    /// Whether nothing has set this key.
    pub fn is_default(&self, key: &str) -> bool {
        self.effective.iter().any(|effective| effective.key == key && effective.origin == "default")
    }

    /// The effective settings as TOML, each with its source; passwords are masked.
    pub fn effective(&self) -> String {
        let mut text = String::new();
        for Effective { key, literal, origin } in &self.effective {
            let line = match literal {
                Some(literal) => format!("{key} = {literal}"),
                None => format!("# {key} is unset"),
            };
            writeln!(text, "{line:<48} # {origin}").expect("a string takes every write");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Sources {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    fn with_file(text: &str, mut sources: Sources) -> (tempfile::NamedTempFile, Result<Settings, SettingsError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        sources.file = Some(file.path().to_owned());
        let settings = Settings::load(&sources);
        (file, settings)
    }

    #[test]
    fn the_defaults_alone_are_a_valid_set() {
        let settings = Settings::load(&Sources::default()).unwrap();
        let here = std::path::absolute("./data").unwrap();
        assert_eq!(settings.server.bind, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(settings.storage.data_dir, here);
        assert_eq!(settings.storage.database_url, format!("sqlite://{}/ade.db", here.display()));
        assert_eq!(settings.build.venvs_dir, here.join("venvs"));
        assert_eq!(settings.run.timeout, None);
        assert_eq!(settings.log.durability, Durability::Fsync);
        assert!(settings.limits.max_concurrency >= 1);
        assert!(settings.unknown.is_empty());
    }

    #[test]
    fn a_later_layer_wins_over_an_earlier_one() {
        let mut sources = environment(&[("ADE_QUEUE_SIZE", "20"), ("ADE_BUILD_KEEP", "20")]);
        sources.flags.push(Flag { name: "--keep", key: "build_keep", value: "30".to_owned() });
        let text = "queue_size = 10\nbuild_keep = 10\ndatabase_pool = 4\n";
        let settings = with_file(text, sources).1.unwrap();
        let seen = (settings.storage.database_pool, settings.limits.queue_size, settings.build.keep);
        assert_eq!(seen, (4, 20, 30));
    }

    #[test]
    fn nesting_joins_with_an_underscore_in_files_and_variables() {
        let text = "[run]\ntimeout = \"2h\"\n[sse]\nheartbeat = 3\n";
        let settings = with_file(text, environment(&[("ADE_BUILD__TTL", "7d")])).1.unwrap();
        assert_eq!(settings.run.timeout, Some(Duration::from_secs(7200)));
        assert_eq!(settings.stream.sse_heartbeat, Duration::from_secs(3));
        assert_eq!(settings.build.ttl, Some(Duration::from_secs(604_800)));
    }

    #[test]
    fn a_wrong_value_names_its_key_its_source_and_what_is_allowed() {
        let error = Settings::load(&environment(&[("ADE_DRAIN_TIMEOUT", "soon")])).unwrap_err().to_string();
        assert!(
            error.contains("drain_timeout is \"soon\" (variable ADE_DRAIN_TIMEOUT); allowed: a duration"),
            "{error}"
        );

        let (file, result) = with_file("installer = \"conda\"", Sources::default());
        let error = result.unwrap_err().to_string();
        let expected = format!("installer is \"conda\" (file {}); allowed: auto, uv or pip", file.path().display());
        assert_eq!(error, expected);

        let flags = vec![Flag { name: "--bind", key: "bind", value: "nowhere:80".to_owned() }];
        let error = Settings::load(&Sources { flags, ..Sources::default() }).unwrap_err().to_string();
        assert!(error.contains("(flag --bind); allowed: an address such as 127.0.0.1:8000"), "{error}");

        let error = Settings::load(&environment(&[("ADE_BIND", "")])).unwrap_err().to_string();
        assert!(error.contains("bind is empty (variable ADE_BIND)"), "{error}");
    }

    #[test]
    fn without_sign_in_only_this_machine_is_served() {
        let with = |auth, bind| Settings::load(&environment(&[("ADE_AUTH", auth), ("ADE_BIND", bind)]));
        for (auth, bind) in [("on", "0.0.0.0:80"), ("on", "127.0.0.1"), ("off", "127.0.0.1"), ("off", "[::1]:9")] {
            assert_eq!(with(auth, bind).unwrap().access.sign_in, auth == "on");
        }
        let error = with("off", "0.0.0.0:80").unwrap_err().to_string();
        let expected = "auth is \"off\" (variable ADE_AUTH); allowed: on; off only where bind is a loopback address";
        assert_eq!(error, expected);
    }

    #[test]
    fn what_is_done_again_and_again_is_not_done_without_pause() {
        let interval = |text| Settings::load(&environment(&[("ADE_MAINTENANCE_INTERVAL", text)]));
        assert_eq!(interval("90").unwrap().maintenance.interval, Duration::from_secs(90));
        for text in ["0", "10ms", "999ms"] {
            let error = interval(text).unwrap_err().to_string();
            assert!(error.contains("maintenance_interval") && error.contains("at least a second"), "{error}");
        }
    }

    #[test]
    fn an_unknown_variable_is_listed_and_an_unknown_key_of_a_file_is_an_error() {
        let settings = Settings::load(&environment(&[("ADE_COLOUR", "red"), ("PATH", "/bin")])).unwrap();
        assert_eq!(settings.unknown, ["ADE_COLOUR"]);
        assert_eq!(settings.environment["PATH"], "/bin");

        let error = with_file("run_timout = 3", Sources::default()).1.unwrap_err().to_string();
        assert!(error.contains("unknown key run_timout (file "), "{error}");
        assert!(error.contains("run_timeout"), "{error}");
    }

    #[test]
    fn a_key_given_plain_and_nested_is_an_error() {
        let error = with_file("run_timeout = 3\n[run]\ntimeout = 4", Sources::default()).1.unwrap_err().to_string();
        assert!(error.contains("run_timeout is given twice"), "{error}");
    }

    #[test]
    fn an_empty_text_unsets_an_optional_setting() {
        let settings = with_file("run_timeout = 5", environment(&[("ADE_RUN_TIMEOUT", "")])).1.unwrap();
        assert_eq!(settings.run.timeout, None);
    }

    #[test]
    fn the_folder_of_workflows_is_there_when_it_is_named() {
        let directory = |sources| Settings::load(&sources).unwrap().workflows.folder;
        assert_eq!(directory(Sources::default()), None);
        assert_eq!(directory(environment(&[("ADE_WORKFLOWS_DIR", "")])), None);
        assert_eq!(directory(environment(&[("ADE_WORKFLOWS_DIR", "/srv/flows")])), Some(PathBuf::from("/srv/flows")));
        let nested = with_file("[workflows]\ndir = \"<data_dir>/flows\"\n", Sources::default()).1.unwrap();
        assert_eq!(nested.workflows.folder, Some(nested.storage.data_dir.join("flows")));
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        let names = ["ADE_ANTHROPIC_API_KEY", "ADE_OPENAI__API_KEY"];
        let sources = environment(&[(names[0], "sk-ant-very-secret"), (names[1], "sk-very-secret"), ("PATH", "/bin")]);
        let settings = Settings::load(&sources).unwrap();
        assert!(settings.llm.anthropic_api_key.is_some() && settings.llm.openai_api_key.is_some());
        for shown in [format!("{settings:?}"), format!("{settings:#?}"), format!("{sources:?}"), settings.effective()] {
            assert!(!shown.contains("very-secret"), "{shown}");
        }
        assert!(settings.effective().contains("anthropic_api_key = \"***\""), "{}", settings.effective());
        assert_eq!(settings.environment.keys().collect::<Vec<_>>(), ["PATH"]);

        for name in names {
            let error = Settings::load(&environment(&[(name, "sk very-secret")])).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("very-secret"), "{error}");
            let expected = format!("is \"***\" (variable {name}); allowed: a key");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let (_file, result) = with_file("anthropic_api_key = \"sk very-secret\"", Sources::default());
        assert!(!format!("{:?}", result.unwrap_err()).contains("very-secret"));
    }

    #[test]
    fn wrong_settings_of_language_models_name_their_key() {
        for (name, text, key) in [
            ("ADE_LLM_PROVIDER", "mistral", "llm_provider"),
            ("ADE_ANTHROPIC_BASE_URL", "api.anthropic.com", "anthropic_base_url"),
            ("ADE_OPENAI_BASE_URL", "", "openai_base_url"),
            ("ADE_LLM_TIMEOUT", "0", "llm_timeout"),
            ("ADE_LLM_IDLE_TIMEOUT", "never", "llm_idle_timeout"),
            ("ADE_LLM_MAX_ATTEMPTS", "0", "llm_max_attempts"),
            ("ADE_LLM_RETRY_DELAY", "-1", "llm_retry_delay"),
            ("ADE_LLM_RETRY_MAX_DELAY", "x", "llm_retry_max_delay"),
            ("ADE_LLM_MAX_PROMPT", "much", "llm_max_prompt"),
            ("ADE_LLM_KEEP_PROMPTS", "perhaps", "llm_keep_prompts"),
            ("ADE_CLARIFICATION_TIMEOUT", "0", "clarification_timeout"),
        ] {
            let error = Settings::load(&environment(&[(name, text)])).unwrap_err().to_string();
            assert!(error.starts_with(key) && error.contains(name), "{error}");
        }
    }

    #[cfg(feature = "otel")]
    #[test]
    fn headers_for_the_collector_are_shown_nowhere() {
        let sources = environment(&[("ADE_OTEL_HEADERS", "api-key=very-secret"), ("PATH", "/bin")]);
        let settings = Settings::load(&sources).unwrap();
        assert_eq!(settings.otel.headers.len(), 1);
        for shown in [format!("{settings:?}"), settings.effective()] {
            assert!(!shown.contains("very-secret"), "{shown}");
        }
        assert_eq!(settings.environment.keys().collect::<Vec<_>>(), ["PATH"]);
        let error = Settings::load(&environment(&[("ADE_OTEL_HEADERS", "very-secret")])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("very-secret"), "{error}");
    }

    #[cfg(not(feature = "otel"))]
    #[test]
    fn a_program_without_the_feature_refuses_its_settings() {
        for (name, text, key) in [
            ("ADE_OTEL_ENDPOINT", "http://127.0.0.1:4318", "otel_endpoint"),
            ("ADE_OTEL_HEADERS", "api-key=very-secret", "otel_headers"),
            ("ADE_OTEL_SAMPLE_RATIO", "0.1", "otel_sample_ratio"),
            ("ADE_OTEL__SERVICE_NAME", "mine", "otel_service_name"),
        ] {
            let error = Settings::load(&environment(&[(name, text)])).unwrap_err().to_string();
            let expected =
                format!("{key} is given (variable {name}), and this program was built without the feature otel");
            assert_eq!(error, expected);
        }
        // What is so by default changes nothing.
        let unset = environment(&[("ADE_OTEL_ENDPOINT", ""), ("ADE_OTEL_TIMEOUT", "10s")]);
        assert!(Settings::load(&unset).is_ok());
        let error = with_file("[otel]\nendpoint = \"http://h\"\n", Sources::default()).1.unwrap_err().to_string();
        assert!(error.starts_with("otel_endpoint is given (file "), "{error}");
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        let proxies = |text: &str| Settings::load(&environment(&[("ADE_TRUSTED_PROXIES", text)]));
        let settings = proxies("127.0.0.1, 10.0.0.0/8 fd00::/8").unwrap();
        assert_eq!(settings.server.trusted_proxies.len(), 3);
        for text in ["proxy.example", "10.0.0.0/33", "*"] {
            let error = proxies(text).unwrap_err().to_string();
            assert!(error.contains("trusted_proxies") && error.contains("10.0.0.0/8"), "{error}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let settings = Settings::load(&environment(&[("ADE_TLS_CERT", "/c.pem"), ("ADE_TLS_KEY", "/k.pem")])).unwrap();
        let tls = TlsSettings { certificate: "/c.pem".into(), key: "/k.pem".into() };
        assert_eq!(settings.server.tls, Some(tls));
        for (name, missing) in [("ADE_TLS_CERT", "tls_key"), ("ADE_TLS_KEY", "tls_cert")] {
            let error = Settings::load(&environment(&[(name, "/x.pem")])).unwrap_err().to_string();
            assert!(error.contains(&format!("{missing} is not")), "{error}");
        }
    }

    #[test]
    fn a_provider_is_set_whole_or_not_at_all_and_its_secret_is_shown_nowhere() {
        let whole = [
            ("ADE_OIDC_ISSUER", "https://login.example/"),
            ("ADE_OIDC_CLIENT_ID", "ade"),
            ("ADE_OIDC_CLIENT_SECRET", "very-secret"),
            ("ADE_PUBLIC_URL", "https://ade.example"),
            ("ADE_OIDC_GROUPS", "staff=viewer"),
        ];
        let settings = Settings::load(&environment(&whole)).unwrap();
        assert_eq!(settings.environment.len(), 4, "children do not see the secret");
        assert!(!format!("{settings:?}{}", settings.effective()).contains("very-secret"));
        let oidc = settings.access.oidc.unwrap();
        assert_eq!((oidc.issuer.as_str(), oidc.groups.len()), ("https://login.example/", 1));
        assert_eq!(oidc.name, "login.example");
        for (at, missing) in [(0, "oidc_issuer"), (1, "oidc_client_id"), (3, "public_url"), (4, "oidc_groups")] {
            let given: Vec<_> = whole.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, pair)| *pair).collect();
            let error = Settings::load(&environment(&given)).unwrap_err().to_string();
            assert!(error.contains(&format!("{missing} is not")), "{error}");
        }
        assert!(Settings::load(&environment(&whole[3..4])).unwrap().access.oidc.is_none());
    }

    #[test]
    fn a_missing_or_broken_file_is_named() {
        let sources = environment(&[("ADE_CONFIG", "/nowhere/ade.toml")]);
        let error = Settings::load(&sources).unwrap_err().to_string();
        assert!(error.starts_with("settings file /nowhere/ade.toml: "), "{error}");
        let (file, result) = with_file("bind = ", Sources::default());
        assert!(result.unwrap_err().to_string().contains(&file.path().display().to_string()));
    }

    #[test]
    fn the_effective_settings_are_toml_that_reads_back_to_the_same() {
        let given = environment(&[("ADE_RUN_TIMEOUT", "90s"), ("ADE_ENGINE_ENV_ALLOW", "A,B")]);
        let first = Settings::load(&given).unwrap();
        assert!(first.effective().contains("# variable ADE_RUN_TIMEOUT"));
        let second = with_file(&first.effective(), Sources::default()).1.unwrap();
        let values = |settings: &Settings| settings.effective.iter().map(|e| e.literal.clone()).collect::<Vec<_>>();
        assert_eq!(values(&first), values(&second));
        assert_eq!(second.run.env_allow, ["A", "B"]);
    }

    #[test]
    fn the_default_file_names_every_setting_once_and_nothing_else() {
        let mut documented: Vec<_> = include_str!("default.toml")
            .lines()
            .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
            .map(|(key, _)| key)
            .collect();
        documented.sort_unstable();
        let settings = Settings::load(&Sources::default()).unwrap();
        let mut known: Vec<_> = settings.effective.iter().map(|effective| effective.key).collect();
        known.sort_unstable();
        assert_eq!(documented, known);
    }
}
