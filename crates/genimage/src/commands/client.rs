//! The HTTP client with which a command speaks to a running hub.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// A client that carries the configured API key, follows no redirect (the key would go along) and gives up
/// after `timeout`.
///
/// # Errors
/// When the key is no header value, or no client can be made.
pub(super) fn to_the_hub(config: &Config, timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let mut headers = HeaderMap::new();
    let key = config.auth.api_key.expose_secret();
    if !key.is_empty() {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).context("auth.api_key is no header value")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    reqwest::Client::builder()
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .context("cannot make an HTTP client")
}
