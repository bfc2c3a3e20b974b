//! What is told of the configuration's origins, so that people see which values they can change where.

use std::collections::BTreeMap;

use figment::{Figment, Provider as _, Source, value::Value as Figured};
use hub_engine::{FixedSetting, GivenSettings, SettingSource};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::Config;

/// Where the values come from, by key; keys that have their default are left out.
pub(super) fn sources(figment: &Figment) -> BTreeMap<String, SettingSource> {
    let mut sources = BTreeMap::new();
    let Ok(sections) = figment.data().map(|data| data.into_values().flat_map(BTreeMap::into_iter)) else {
        return sources;
    };
    for (section, keys) in sections {
        let Figured::Dict(_, keys) = keys else { continue };
        for name in keys.keys() {
            let key = format!("{section}.{name}");
            let Some(metadata) = figment.find_metadata(&key) else { continue };
            let source = match &metadata.source {
                Some(Source::File(_)) => SettingSource::File,
                // The defaults are read from a text of the program.
                _ if metadata.name.starts_with("TOML") => continue,
                _ => SettingSource::Environment,
            };
            sources.insert(key, source);
        }
    }
    sources
}

/// What the engine is told of them.
pub(crate) fn settings(config: &Config) -> GivenSettings {
    let server = &config.server;
    let is_set = |secret: &SecretString| json!(if secret.expose_secret().is_empty() { "" } else { "(set)" });
    let fixed: [(&str, Value, &str); 38] = [
        ("server.listen", json!(server.listen), "Address that the hub listens on."),
        ("server.data_dir", json!(server.data_dir), "Folder of the database and the pictures."),
        ("server.public_url", json!(server.public_url), "Address under which others reach the hub."),
        ("server.allowed_hosts", json!(server.allowed_hosts), "Further host names under which requests are accepted."),
        ("server.shutdown_grace_s", json!(server.shutdown_grace_s), "Seconds that running work gets at the end."),
        ("server.connections_max", json!(server.connections_max), "Connections that may be open at once."),
        (
            "server.connections_max_per_address",
            json!(server.connections_max_per_address),
            "Connections that one address may have open; 0 = any number.",
        ),
        (
            "server.connections_exempt",
            json!(server.connections_exempt.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "Addresses and networks that may have any number, such as reverse proxies.",
        ),
        (
            "server.requests_max_per_caller",
            json!(server.requests_max_per_caller),
            "Requests that one caller may have open, streams among them.",
        ),
        (
            "server.read_limit_s",
            json!(server.read_limit_s),
            "Seconds that a request's head, and the next piece of its body, may take.",
        ),
        ("database.url", json!(config.database_label()), "Where rows lie."),
        ("objects.url", json!(without_password(&config.objects.url)), "Where pictures lie."),
        ("auth.api_key", is_set(&config.auth.api_key), "A key with every right for agents and scripts."),
        ("auth.admin_password", is_set(&config.auth.admin_password), "Password with which the admin account is made."),
        ("auth.secret_key", is_set(&config.auth.secret_key), "Key that stored secrets are encrypted with."),
        ("oauth.issuer", json!(config.oauth.issuer), "Authorization server whose access tokens are taken."),
        ("oauth.jwks_url", json!(without_password(&config.oauth.jwks_url)), "Where its keys are."),
        (
            "oauth.audience",
            json!(config.oauth.audience),
            "What tokens must be made for; empty: the public address with /mcp.",
        ),
        ("oauth.scope_prefix", json!(config.oauth.scope_prefix), "What scopes are prefixed with in tokens."),
        ("oauth.skew_s", json!(config.oauth.skew_s), "Seconds that the clocks may differ."),
        (
            "oauth.rate_per_minute",
            json!(config.oauth.rate_per_minute),
            "Requests per minute of one subject; 0: any number.",
        ),
        ("oauth.images_per_day", json!(config.oauth.images_per_day), "Pictures per day of one subject; 0: any number."),
        (
            "oauth.gpu_seconds_per_day",
            json!(config.oauth.gpu_seconds_per_day),
            "GPU time per day of one subject, in seconds; 0: any amount.",
        ),
        ("traces.otlp_url", json!(without_password(&config.traces.otlp_url)), "Collector that traces go to."),
        ("traces.protocol", json!(config.traces.protocol), "How traces are written."),
        ("traces.sample", json!(config.traces.sample), "Share of the traces that begin here which is told, 0 to 1."),
        ("comfyui.url", json!(without_password(&config.comfyui.url)), "A ComfyUI server to register at start."),
        ("ollama.url", json!(without_password(&config.ollama.url)), "An Ollama server to register at start."),
        (
            "alerts.allow_private",
            json!(config.alerts.allow_private),
            "Post alerts to private, loopback and link-local addresses.",
        ),
        ("alerts.allowed_hosts", json!(config.alerts.allowed_hosts), "Hosts that alerts may always be posted to."),
        (
            "input.allow_private",
            json!(config.input.allow_private),
            "Fetch input pictures from private, loopback and link-local addresses.",
        ),
        ("input.allowed_hosts", json!(config.input.allowed_hosts), "Hosts of input pictures that are always allowed."),
        ("gpu_lease.evict", json!(config.gpu_lease.evict), "When models are evicted from a shared GPU."),
        ("gpu_lease.headroom_mb", json!(config.gpu_lease.headroom_mb), "Two fit when this much memory stays free."),
        (
            "gpu_lease.unknown_need_mb",
            json!(config.gpu_lease.unknown_need_mb),
            "What a workflow's models are believed to need until they were seen.",
        ),
        ("gpu_lease.llm_wait_s", json!(config.gpu_lease.llm_wait_s), "How long LLM calls wait for ComfyUI."),
        ("gpu_lease.comfy_wait_s", json!(config.gpu_lease.comfy_wait_s), "How long prompts wait for the LLM."),
        ("logging.level", json!(config.logging.level), "What is logged."),
    ];
    let fixed = fixed.into_iter().map(|(key, value, explanation)| FixedSetting {
        key: key.to_owned(),
        value,
        explanation: explanation.to_owned(),
    });
    GivenSettings { sources: config.sources.clone(), fixed: fixed.collect() }
}

/// An address for people: one may hold a password.
fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for addresses that hold no password.
            let masked = url.set_password(Some("***")).is_ok();
            if masked { url.to_string() } else { String::new() }
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Toml};

    use super::*;
    use crate::config::DEFAULTS;

    #[test]
    fn every_value_tells_where_it_comes_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hub.toml");
        std::fs::write(&file, "[queue]\nmax = 7\n[mcp]\nwait_s = 1\n").expect("written");
        let figment = Figment::from(Toml::string(DEFAULTS))
            .merge(Toml::file_exact(&file))
            .merge(("mcp.wait_s", 2))
            .merge(("database.url", "postgres://hub:hunter2@db/hub"));
        let sources = sources(&figment);
        assert_eq!(sources.get("queue.max"), Some(&SettingSource::File));
        assert_eq!(sources.get("mcp.wait_s"), Some(&SettingSource::Environment));
        assert_eq!(sources.get("queue.attempts_max"), None);
        let mut config: Config = figment.extract().expect("valid");
        config.sources = sources;
        "http://user:hunter2@gpu:8188".clone_into(&mut config.comfyui.url);
        config.auth.api_key = "hunter2".to_owned().into();
        let told = settings(&config);
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        assert!(told.fixed.iter().all(|fixed| DEFAULTS.contains(fixed.key.rsplit('.').next().unwrap_or("?"))));
    }
}
