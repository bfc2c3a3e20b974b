//! A hub that runs: its JSON API exports and imports.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hub_engine::{ExportOptions, ExportParts, ImportMode, ImportOptions};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::Report;
use crate::{commands::client, config::Config};

/// Time for an import of many workflows.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Time for the question whether a hub is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a backup of very many pictures.
const BACKUP_TIMEOUT: Duration = Duration::from_hours(24);
/// Carries the passphrase.
const PASSPHRASE: &str = "genimage-passphrase";

/// A running hub.
pub(in crate::commands) struct Hub {
    base: Url,
    http: reqwest::Client,
}

impl Hub {
    /// The hub at an address.
    ///
    /// # Errors
    /// When the address is none.
    pub(in crate::commands) fn at(config: &Config, url: &str) -> anyhow::Result<Self> {
        let mut base = Url::parse(url).with_context(|| format!("`{url}` is not an address"))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = client::to_the_hub(config, TIMEOUT)?;
        Ok(Self { base, http })
    }

    pub(in crate::commands) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether a hub is there.
    pub(super) async fn answers(&self) -> bool {
        let Ok(url) = self.base.join("healthz") else { return false };
        let answer = self.http.get(url).timeout(PROBE_TIMEOUT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(super) async fn export(&self, options: &ExportOptions) -> anyhow::Result<String> {
        let request = self.http.get(self.base.join("api/v1/config/export")?);
        let request = match options.parts {
            ExportParts::Everything => request,
            ExportParts::WithoutWorkflows => request.query(&[("workflows", "false")]),
            ExportParts::ServersOnly => request.query(&[("only_servers", "true")]),
        };
        Ok(self.send(request, options.passphrase.as_ref()).await?.text().await?)
    }

    pub(super) async fn import(&self, bytes: Vec<u8>, options: &ImportOptions) -> anyhow::Result<Report> {
        let mode = match options.mode {
            ImportMode::Merge => "merge",
            ImportMode::Replace => "replace",
        };
        let dry_run = if options.dry_run { "true" } else { "false" };
        let request = self
            .http
            .post(self.base.join("api/v1/config/import")?)
            .query(&[("mode", mode), ("dry_run", dry_run)])
            .header(CONTENT_TYPE, "application/json")
            .body(bytes);
        Ok(self.send(request, options.passphrase.as_ref()).await?.json().await?)
    }

    /// A backup, as it comes.
    pub(in crate::commands) async fn backup(&self) -> anyhow::Result<reqwest::Response> {
        let request = self.http.get(self.base.join("api/v1/backup")?).timeout(BACKUP_TIMEOUT);
        self.send(request, None).await
    }

    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        passphrase: Option<&SecretString>,
    ) -> anyhow::Result<reqwest::Response> {
        if let Some(passphrase) = passphrase {
            let mut value = HeaderValue::from_bytes(passphrase.expose_secret().as_bytes())
                .context("the passphrase holds control characters")?;
            value.set_sensitive(true);
            request = request.header(PASSPHRASE, value);
        }
        let answer = request.send().await.with_context(|| format!("the hub at {} does not answer", self.address()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let problem: Value = answer.json().await.unwrap_or_default();
        let text = |key: &str| problem.get(key).and_then(Value::as_str);
        let mut message = text("detail").map_or_else(|| format!("the hub answered {status}"), str::to_owned);
        if let Some(path) = text("argument").filter(|path| !message.contains(path)) {
            message = format!("{path}: {message}");
        }
        if let Some(hint) = text("hint") {
            message.push(' ');
            message.push_str(hint);
        }
        bail!(message)
    }
}
