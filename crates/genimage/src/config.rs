//! The configuration: embedded defaults, then a file, then the environment, then the command line.
//!
//! Owns every key and its meaning (`config/genimage.default.toml` is the document). Unknown keys are
//! refused by name, so that a misspelt one is not silently ignored.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use hub_access::{OauthConfig, TokenLimits};
use hub_engine::{AlertPolicy, AnswerPolicy, EngineConfig, InputPolicy, SettingSource};
use serde::Deserialize;
use url::Url;

pub(crate) mod given;
mod sections;

pub use self::sections::{
    AlertsSection, AuthSection, GpuLeaseSection, InputSection, LlmSection, LogFormat, LoggingSection, McpSection,
    OauthSection, QueueSection, RetentionSection, ServerSection, ServersSection, TracesSection, UrlSection,
};

/// The defaults, every key commented.
pub const DEFAULTS: &str = include_str!("../../../config/genimage.default.toml");

/// Shortest time between two readings of a server's list of nodes, which may be megabytes.
const INVENTORY_INTERVAL_MIN_S: u64 = 10;

/// Environment variables with short names, and the key each sets.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("GENIMAGE_LISTEN", "server.listen"),
    ("GENIMAGE_DATA_DIR", "server.data_dir"),
    ("GENIMAGE_PUBLIC_URL", "server.public_url"),
    ("GENIMAGE_DATABASE_URL", "database.url"),
    ("GENIMAGE_OBJECT_STORE_URL", "objects.url"),
    ("GENIMAGE_API_KEY", "auth.api_key"),
    ("GENIMAGE_ADMIN_PASSWORD", "auth.admin_password"),
    ("GENIMAGE_SECRET_KEY", "auth.secret_key"),
    ("COMFYUI_API_URL", "comfyui.url"),
    ("OLLAMA_API_URL", "ollama.url"),
];

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the hub listens and keeps its files.
    pub server: ServerSection,
    /// Where rows lie.
    pub database: UrlSection,
    /// Where pictures lie.
    pub objects: UrlSection,
    /// Credentials.
    pub auth: AuthSection,
    /// The authorization server whose tokens are taken.
    pub oauth: OauthSection,
    /// A ComfyUI server to register at start.
    pub comfyui: UrlSection,
    /// An Ollama server to register at start.
    pub ollama: UrlSection,
    /// Bounds of the queue.
    pub queue: QueueSection,
    /// How servers are watched.
    pub servers: ServersSection,
    /// What is told when servers come and go.
    pub alerts: AlertsSection,
    /// Time for the LLM.
    pub llm: LlmSection,
    /// GPUs that LLM servers and ComfyUI servers share.
    pub gpu_lease: GpuLeaseSection,
    /// Input pictures by URL.
    pub input: InputSection,
    /// Answers to agents.
    pub mcp: McpSection,
    /// How long results are kept.
    pub retention: RetentionSection,
    /// What is logged.
    pub logging: LoggingSection,
    /// Where traces go.
    pub traces: TracesSection,
    /// Where the values come from, by key; keys that have their default are left out.
    #[serde(skip)]
    pub sources: BTreeMap<String, SettingSource>,
}

/// What the command line overrides.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); its keys are explained in config/genimage.default.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Folder for the database and the pictures [default: ./data]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Names the key and where its value came from.
    pub fn load(args: &ConfigArgs) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = &args.config {
            if !file.is_file() {
                bail!("the configuration file {} does not exist", file.display());
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(Env::prefixed("GENIMAGE__").split("__"));
        for (name, key) in SHORT_NAMES {
            // `Env::raw().only(..)` would parse "8001" or "true" into another type; these are texts.
            if let Ok(value) = std::env::var(name)
                && !value.is_empty()
            {
                figment = figment.merge((key, value));
            }
        }
        if let Some(dir) = &args.data_dir {
            figment = figment.merge(("server.data_dir", dir));
        }
        let mut config: Self = figment.extract().context("the configuration cannot be read")?;
        config.sources = given::sources(&figment);
        config.public_url()?;
        config.oauth()?;
        config.server.check()?;
        Ok(config)
    }

    /// The public address, when there is one.
    ///
    /// # Errors
    /// When it is no http(s) URL.
    pub fn public_url(&self) -> anyhow::Result<Option<Url>> {
        http_url("server.public_url", &self.server.public_url)
    }

    /// The authorization server, when there is one.
    ///
    /// # Errors
    /// Names the key that is missing or no address.
    pub fn oauth(&self) -> anyhow::Result<Option<OauthConfig>> {
        let given = &self.oauth;
        if given.issuer.is_empty() {
            return Ok(None);
        }
        trusted("oauth.issuer", &given.issuer)?;
        let audience = match (given.audience.as_str(), self.server.public_url.trim_end_matches('/')) {
            ("", "") => bail!(
                "oauth.issuer is set: set oauth.audience, or server.public_url, to the hub's address as clients know it"
            ),
            ("", public) => format!("{public}/mcp"),
            (audience, _) => audience.to_owned(),
        };
        if http_url("oauth.audience", &audience)?.is_none_or(|url| url.fragment().is_some()) {
            bail!("oauth.audience `{audience}` must be an http(s) address without fragment");
        }
        Ok(Some(OauthConfig {
            issuer: given.issuer.clone(),
            jwks_url: trusted("oauth.jwks_url", &given.jwks_url)?,
            audience,
            scope_prefix: given.scope_prefix.clone(),
            skew: Duration::from_secs(given.skew_s),
            each: TokenLimits {
                rate_per_minute: bound(given.rate_per_minute),
                images_per_day: bound(given.images_per_day),
                gpu_seconds_per_day: bound(given.gpu_seconds_per_day),
            },
        }))
    }

    /// Address at which this machine reaches the hub: the listen address, or loopback where the hub
    /// listens on all addresses.
    ///
    /// # Errors
    /// Never for an address that was parsed.
    pub fn local_url(&self) -> anyhow::Result<Url> {
        let mut address = self.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Url::parse(&format!("http://{address}")).context("the listen address makes no URL")
    }

    /// Address of the database.
    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            format!("sqlite://{}", self.server.data_dir.join("hub.db").display())
        } else {
            self.database.url.clone()
        }
    }

    /// The database for a message: without the password its address may hold.
    pub fn database_label(&self) -> String {
        let mut url = match Url::parse(&self.database_url()) {
            Ok(url) if url.has_host() => url,
            _ => return self.database_url(),
        };
        // Fails only for addresses that hold no password.
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return url.scheme().to_owned();
        }
        url.to_string()
    }

    /// The engine's part.
    ///
    /// # Errors
    /// When an address is no http(s) URL.
    pub fn engine(&self) -> anyhow::Result<EngineConfig> {
        let seconds = Duration::from_secs;
        Ok(EngineConfig {
            public_url: self.public_url()?,
            queue_max: self.queue.max,
            queue_max_per_caller: self.queue.max_per_caller,
            caller_weights: self.queue.weights.clone(),
            queue_wait_limit: seconds(self.queue.wait_limit_s),
            enhance_budget: seconds(self.llm.enhance_budget_s),
            describe_budget: seconds(self.llm.describe_budget_s),
            prompt_budget: seconds(self.llm.prompt_budget_s),
            attempts_max: self.queue.attempts_max,
            repeat_window: seconds(self.queue.repeat_window_s),
            poll_interval: seconds(self.servers.poll_interval_s.max(1)),
            probe_interval: seconds(self.servers.probe_interval_s.max(1)),
            inventory_interval: seconds(self.servers.inventory_interval_s.max(INVENTORY_INTERVAL_MIN_S)),
            alerts: AlertPolicy {
                webhook_url: http_url("alerts.webhook_url", &self.alerts.webhook_url)?,
                allow_private: self.alerts.allow_private,
                allowed_hosts: self.alerts.allowed_hosts.clone(),
                quiet: seconds(self.alerts.quiet_s),
                ..AlertPolicy::default()
            },
            input: InputPolicy {
                allow_private: self.input.allow_private,
                allowed_hosts: self.input.allowed_hosts.clone(),
                timeout: seconds(self.input.timeout_s),
            },
            answers: AnswerPolicy {
                wait_s: self.mcp.wait_s,
                preview_max_bytes: self.mcp.preview_max_bytes,
                preview_max_side_px: self.mcp.preview_max_side_px,
            },
            lease: self.gpu_lease.policy(),
            retention_days: bound(self.retention.days),
            retention_pictures: bound(self.retention.pictures),
            retention_gb: bound(self.retention.gb),
            live_previews: self.servers.live_previews,
            ..EngineConfig::default()
        })
    }
}

/// 0 = none.
fn bound(given: u32) -> Option<u32> {
    Some(given).filter(|given| *given > 0)
}

/// An address that may be empty.
fn http_url(key: &str, text: &str) -> anyhow::Result<Option<Url>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(text).with_context(|| format!("{key} `{text}` is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{key} `{text}` must begin with http:// or https://");
    }
    Ok(Some(url))
}

/// An address whose answers are believed: over TLS, or on this machine.
fn trusted(key: &str, text: &str) -> anyhow::Result<Url> {
    let Some(url) = http_url(key, text)? else { bail!("{key} is empty, but oauth.issuer is set") };
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !here {
        bail!("{key} `{text}` must begin with https://: whoever sits between could let anybody in");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_a_whole_configuration() {
        let config: Config = Figment::from(Toml::string(DEFAULTS)).extract().expect("the defaults parse");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8001");
        let expected = EngineConfig::default();
        assert_eq!(config.engine().expect("valid"), expected);
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        let mut config: Config = Figment::from(Toml::string(DEFAULTS)).extract().expect("the defaults parse");
        "postgres://hub:hunter2@db/hub".clone_into(&mut config.database.url);
        assert_eq!(config.database_label(), "postgres://hub:***@db/hub");
        config.database.url.clear();
        assert!(config.database_label().ends_with("hub.db"));
    }

    #[test]
    fn weights_of_callers_are_read_and_absurd_ones_refused() {
        let read = |text: &str| {
            let read = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(text)).extract::<Config>();
            read.map(|read| read.queue).map_err(Box::new)
        };
        let weights = read("[queue.weights]\nalice = 2\n\"command line\" = 0.5").expect("valid").weights;
        let told: Vec<(&str, f64)> = weights.iter().map(|(caller, weight)| (caller.as_str(), weight)).collect();
        assert_eq!(told, [("alice", 2.0), ("command line", 0.5)]);
        for absurd in ["-1", "0", "1000", "nan", "\"much\""] {
            let error = read(&format!("[queue.weights]\nbob = {absurd}")).expect_err("refused").to_string();
            assert!(error.contains("bob") || error.contains("weights"), "{absurd}: {error}");
        }
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let error = Figment::from(Toml::string(DEFAULTS))
            .merge(Toml::string("[queue]\nmaxx = 1"))
            .extract::<Config>()
            .expect_err("unknown key");
        assert!(error.to_string().contains("maxx"), "{error}");
    }
}
