//! One small struct per concern; every field names its variable and default.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::oidc::OidcSettings;
use super::reader::{Reader, SettingsError};
use super::user_ids::UserIds;
use super::value::{
    BaseUrl, BindAddress, Concurrency, Count, DatabaseUrl, Durability, Installer, Isolation, LlmProvider, LogFilter,
    LogFormat, Names, Networks, Origins, Paths, Period, Rate, Secret, Size, StreamOptions, TokenLimit,
};

/// Listening and shutting down.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// `ADE_BIND`, `127.0.0.1:8000`. Port 0 picks a free one.
    pub bind: SocketAddr,
    /// `ADE_DRAIN_TIMEOUT`, `30s`. How long running work may go on after a graceful stop was asked for.
    pub drain_timeout: Duration,
    /// `ADE_UPLOAD_MAX_BYTES`, `25MiB`.
    pub upload_max_bytes: u64,
    /// `ADE_REQUEST_TIMEOUT`, `30s`. For the head of a request; its body has more time the larger it is.
    pub request_timeout: Duration,
    /// `ADE_RATE_LIMIT`, unset. Requests per second for each caller.
    pub rate_limit: Option<NonZeroU32>,
    /// `ADE_TRUSTED_PROXIES`, unset. Whose `Forwarded` and `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// `ADE_TLS_CERT` and `ADE_TLS_KEY`, unset: the address speaks plain HTTP.
    pub tls: Option<TlsSettings>,
    /// `ADE_SAFE_MODE`, `false`. Refuse new runs and builds; until it is switched for the first time.
    pub safe_mode: bool,
    /// `ADE_CORS_ORIGINS`, unset. Pages of these origins may call.
    pub cors_origins: Vec<String>,
}

/// Who gets in.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// `ADE_AUTH`, `on`. Off, everybody who reaches the service may do everything; so it must be bound to loopback.
    pub sign_in: bool,
    /// `ADE_SESSION_IDLE_TIMEOUT`, `12h`. A browser's session that is not used for so long ends.
    pub session_idle: Duration,
    /// `ADE_SESSION_TIMEOUT`, `7d`. A browser's session ends after this in any case.
    pub session_total: Duration,
    /// `ADE_API_KEY`, unset. What commands show to a service.
    pub api_key: Option<SecretString>,
    /// Who signs people in, beside keys.
    pub oidc: Option<OidcSettings>,
}

/// PEM files: a certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The data directory and the database.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// `ADE_DATA_DIR`, `./data`. Absolute here, so that no child process depends on the working directory.
    pub data_dir: PathBuf,
    /// `ADE_DISK_MIN_FREE`, `256MiB`. With less, `/health/ready` says `degraded`.
    pub disk_min_free: u64,
    /// `ADE_DELETED_RETENTION`, `7d`. How long the files of deleted documents and configurations are kept.
    pub deleted_retention: Duration,
    /// `ADE_DATABASE_URL`, `sqlite://<data_dir>/ade.db`.
    pub database_url: String,
    /// `ADE_DATABASE_POOL`, `10`. Connections.
    pub database_pool: usize,
    /// `ADE_AUTO_MIGRATE`, `true`.
    pub auto_migrate: bool,
}

/// Python environments.
#[derive(Debug, Clone)]
pub struct BuildSettings {
    /// `ADE_VENVS_DIR`, `<data_dir>/venvs`. Absolute here.
    pub venvs_dir: PathBuf,
    /// `ADE_ENGINE_SPEC`, `builtin`.
    pub engine_spec: String,
    /// `ADE_PYTHON_BIN`, unset: the first `python3` on the PATH that is 3.11 or newer.
    pub python_bin: Option<PathBuf>,
    /// `ADE_INSTALLER`, `auto`.
    pub installer: Installer,
    /// `ADE_BUILD_TIMEOUT`, `600s`. A whole build.
    pub timeout: Duration,
    /// `ADE_BUILD_ENSURE_WAIT`, `30s`. How long a request that waits for a build is held.
    pub ensure_wait: Duration,
    /// `ADE_BUILD_TTL`, unset. An environment older than this is not used again.
    pub ttl: Option<Duration>,
    /// `ADE_BUILD_KEEP`, `3`. Finished environments kept for each configuration.
    pub keep: usize,
}

/// Engine processes.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// `ADE_RUN_TIMEOUT`, unset.
    pub timeout: Option<Duration>,
    /// `ADE_RUN_IDLE_TIMEOUT`, unset. A run that says nothing for this long is ended.
    pub idle_timeout: Option<Duration>,
    /// `ADE_CANCEL_GRACE`, `10s`. Between SIGTERM and SIGKILL.
    pub cancel_grace: Duration,
    /// `ADE_WORKER_CPU_SECONDS`, unset.
    pub cpu_seconds: Option<u64>,
    /// `ADE_WORKER_MEM_MB`, unset.
    pub memory_mb: Option<u64>,
    /// `ADE_WORKER_FSIZE_MB`, unset. The largest file that a process may write.
    pub file_size_mb: Option<u64>,
    /// `ADE_ENGINE_ENV_ALLOW`, unset. Variables that a process may see besides the built-in few.
    pub env_allow: Vec<String>,
}

/// What children may reach.
#[derive(Debug, Clone)]
pub struct IsolationSettings {
    /// `ADE_ISOLATION`, `on`.
    pub level: Isolation,
    /// `ADE_ISOLATION_READ`, unset. Files and directories that children may read besides.
    pub read: Vec<PathBuf>,
    /// `ADE_ISOLATION_WRITE`, unset. Directories that children may write besides.
    pub write: Vec<PathBuf>,
    /// `ADE_ENGINE_NETWORK`, `true`. Whether engines may make sockets.
    pub engine_network: bool,
    /// `ADE_ISOLATION_UIDS`, unset. Each workspace's children run under a user id of their own, out of these.
    pub uids: Option<UserIds>,
}

/// How much at once.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// `ADE_MAX_CONCURRENCY`, `cores`. Runs at the same time.
    pub max_concurrency: usize,
    /// `ADE_QUEUE_SIZE`, `1000`. Runs that are queued, for whatever they wait.
    pub queue_size: usize,
    /// `ADE_MAX_SUBSCRIBERS`, `20000`. Readers of one stream.
    pub max_subscribers: usize,
}

/// Event streams over HTTP.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// `ADE_SSE_HEARTBEAT`, `15s`. No reader of a stream is left without a byte for longer.
    pub sse_heartbeat: Duration,
    /// `ADE_SSE_STALL_TIMEOUT`, `60s`. A connection that takes no byte for this long is closed.
    pub sse_stall_timeout: Duration,
}

/// Event logs on disk.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `ADE_LOG_DURABILITY`, `fsync`.
    pub durability: Durability,
    /// `ADE_LOG_COMPRESS_AFTER`, `7d`.
    pub compress_after: Duration,
    /// `ADE_LOG_RETENTION`, unset: finished logs are kept.
    pub retention: Option<Duration>,
    /// `ADE_FEED_RETENTION`, `30d`.
    pub feed_retention: Duration,
}

/// What is done periodically.
#[derive(Debug, Clone)]
pub struct MaintenanceSettings {
    /// `ADE_MAINTENANCE_INTERVAL`, `1h`. Between two rounds, a tenth more or less.
    pub interval: Duration,
}

/// Workflows.
#[derive(Debug, Clone)]
pub struct WorkflowSettings {
    /// `ADE_WORKFLOWS_DIR`, unset. A directory of definitions that are stored at the start.
    pub folder: Option<PathBuf>,
}

/// Language models.
#[derive(Debug, Clone)]
pub struct LlmSettings {
    /// `ADE_LLM_PROVIDER`, `builtin`. For steps that name none.
    pub provider: LlmProvider,
    /// `ADE_ANTHROPIC_API_KEY`, unset.
    pub anthropic_api_key: Option<SecretString>,
    /// `ADE_ANTHROPIC_BASE_URL`, `https://api.anthropic.com`.
    pub anthropic_base_url: String,
    /// `ADE_OPENAI_API_KEY`, unset.
    pub openai_api_key: Option<SecretString>,
    /// `ADE_OPENAI_BASE_URL`, `https://api.openai.com/v1`. With another address no key is needed.
    pub openai_base_url: String,
    /// `ADE_OPENAI_STREAM_OPTIONS`, `auto`. Whether `stream_options` is sent.
    pub openai_stream_options: StreamOptions,
    /// `ADE_OPENAI_TOKEN_LIMIT`, `auto`. The name of the parameter that limits a reply.
    pub openai_token_limit: TokenLimit,
    /// `ADE_LLM_TIMEOUT`, `600s`. One call.
    pub timeout: Duration,
    /// `ADE_LLM_IDLE_TIMEOUT`, `180s`. A call of which nothing comes for this long is given up.
    pub idle_timeout: Duration,
    /// `ADE_LLM_MAX_ATTEMPTS`, `4`. Calls that are made where one fails in passing.
    pub max_attempts: usize,
    /// `ADE_LLM_RETRY_DELAY`, `1s`. Before the second call; doubles.
    pub retry_delay: Duration,
    /// `ADE_LLM_RETRY_MAX_DELAY`, `60s`. Who asks for a longer pause is not called again.
    pub retry_max_delay: Duration,
    /// `ADE_LLM_MAX_PROMPT`, `600KiB`. A step whose prompt is larger fails; nothing is ever cut.
    pub max_prompt: u64,
    /// `ADE_LLM_KEEP_PROMPTS`, `on`. What each call has asked is kept beside its reply.
    pub keep_prompts: bool,
    /// `ADE_CLARIFICATION_TIMEOUT`, unset. A step whose questions no one answers for this long fails.
    pub clarification_timeout: Option<Duration>,
    /// `ADE_LLM_CA_FILE`, unset. Certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// `ADE_LLM_PRICES`, unset. A file with prices on top of the built-in ones.
    pub prices: Option<PathBuf>,
}

/// The service's own log.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `ADE_LOG_FORMAT`, `text`.
    pub format: LogFormat,
    /// `ADE_LOG_LEVEL`, `info`. A level or a filter.
    pub level: String,
}

impl StorageSettings {
    /// The file of the database, where it is one.
    pub fn database_file(&self) -> Option<PathBuf> {
        let path = self.database_url.strip_prefix("sqlite://")?;
        let path = path.split('?').next().unwrap_or(path);
        Some(OsString::from_vec(percent_decode_str(path).collect()).into())
    }
}

impl ServerSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            bind: reader.required::<BindAddress>("bind")?.0,
            drain_timeout: reader.required("drain_timeout")?,
            upload_max_bytes: reader.required::<Size>("upload_max_bytes")?.0,
            request_timeout: reader.required::<Period>("request_timeout")?.0,
            rate_limit: reader.optional::<Rate>("rate_limit")?.map(|rate| rate.0),
            trusted_proxies: reader.optional::<Networks>("trusted_proxies")?.unwrap_or_default().0,
            tls: TlsSettings::read(reader)?,
            safe_mode: reader.required("safe_mode")?,
            cors_origins: reader.optional::<Origins>("cors_origins")?.unwrap_or_default().0,
        })
    }
}

impl AccessSettings {
    pub(super) fn read(reader: &mut Reader, bind: SocketAddr) -> Result<Self, SettingsError> {
        let sign_in = reader.required::<bool>("auth")?;
        if !sign_in && !bind.ip().is_loopback() {
            return Err(reader.contradiction("auth", "on; off only where bind is a loopback address"));
        }
        Ok(Self {
            sign_in,
            session_idle: reader.required::<Period>("session_idle_timeout")?.0,
            session_total: reader.required::<Period>("session_timeout")?.0,
            api_key: reader.optional::<Secret>("api_key")?.map(|key| key.0),
            oidc: OidcSettings::read(reader)?,
        })
    }
}

impl TlsSettings {
    fn read(reader: &mut Reader) -> Result<Option<Self>, SettingsError> {
        match (reader.optional("tls_cert")?, reader.optional("tls_key")?) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(SettingsError::Alone { key: "tls_cert", missing: "tls_key" }),
            (None, Some(_)) => Err(SettingsError::Alone { key: "tls_key", missing: "tls_cert" }),
        }
    }
}

impl StorageSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            data_dir: reader.data_dir()?,
            disk_min_free: reader.required::<Size>("disk_min_free")?.0,
            deleted_retention: reader.required("deleted_retention")?,
            database_url: reader.required::<DatabaseUrl>("database_url")?.0,
            database_pool: reader.required::<Count>("database_pool")?.0,
            auto_migrate: reader.required("auto_migrate")?,
        })
    }
}

impl BuildSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            venvs_dir: reader.directory("venvs_dir")?,
            engine_spec: reader.required("engine_spec")?,
            python_bin: reader.optional("python_bin")?,
            installer: reader.required("installer")?,
            timeout: reader.required("build_timeout")?,
            ensure_wait: reader.required("build_ensure_wait")?,
            ttl: reader.optional("build_ttl")?,
            keep: reader.required::<Count>("build_keep")?.0,
        })
    }
}

impl RunSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            timeout: reader.optional("run_timeout")?,
            idle_timeout: reader.optional("run_idle_timeout")?,
            cancel_grace: reader.required("cancel_grace")?,
            cpu_seconds: reader.optional("worker_cpu_seconds")?,
            memory_mb: reader.optional("worker_mem_mb")?,
            file_size_mb: reader.optional("worker_fsize_mb")?,
            env_allow: reader.optional::<Names>("engine_env_allow")?.unwrap_or_default().0,
        })
    }
}

impl IsolationSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        let level = reader.required("isolation")?;
        let mut paths = |key| Ok::<_, SettingsError>(reader.optional::<Paths>(key)?.unwrap_or_default().0);
        let (read, write) = (paths("isolation_read")?, paths("isolation_write")?);
        let (engine_network, uids) = (reader.required("engine_network")?, reader.optional("isolation_uids")?);
        Ok(Self { level, read, write, engine_network, uids })
    }
}

impl LimitSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            max_concurrency: reader.required::<Concurrency>("max_concurrency")?.0,
            queue_size: reader.required::<Count>("queue_size")?.0,
            max_subscribers: reader.required::<Count>("max_subscribers")?.0,
        })
    }
}

impl StreamSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            sse_heartbeat: reader.required::<Period>("sse_heartbeat")?.0,
            sse_stall_timeout: reader.required("sse_stall_timeout")?,
        })
    }
}

impl LogSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            durability: reader.required("log_durability")?,
            compress_after: reader.required("log_compress_after")?,
            retention: reader.optional("log_retention")?,
            feed_retention: reader.required("feed_retention")?,
        })
    }
}

impl MaintenanceSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self { interval: reader.required::<Period>("maintenance_interval")?.0 })
    }
}

impl WorkflowSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self { folder: reader.optional("workflows_dir")? })
    }
}

impl LlmSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self {
            provider: reader.required("llm_provider")?,
            anthropic_api_key: reader.optional::<Secret>("anthropic_api_key")?.map(|key| key.0),
            anthropic_base_url: reader.required::<BaseUrl>("anthropic_base_url")?.0,
            openai_api_key: reader.optional::<Secret>("openai_api_key")?.map(|key| key.0),
            openai_base_url: reader.required::<BaseUrl>("openai_base_url")?.0,
            openai_stream_options: reader.required("openai_stream_options")?,
            openai_token_limit: reader.required("openai_token_limit")?,
            timeout: reader.required::<Period>("llm_timeout")?.0,
            idle_timeout: reader.required::<Period>("llm_idle_timeout")?.0,
            max_attempts: reader.required::<Count>("llm_max_attempts")?.0,
            retry_delay: reader.required("llm_retry_delay")?,
            retry_max_delay: reader.required("llm_retry_max_delay")?,
            max_prompt: reader.required::<Size>("llm_max_prompt")?.0,
            keep_prompts: reader.required("llm_keep_prompts")?,
            clarification_timeout: reader.optional::<Period>("clarification_timeout")?.map(|period| period.0),
            ca_file: reader.optional("llm_ca_file")?,
            prices: reader.optional("llm_prices")?,
        })
    }
}

impl TelemetrySettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        Ok(Self { format: reader.required("log_format")?, level: reader.required::<LogFilter>("log_level")?.0 })
    }
}
