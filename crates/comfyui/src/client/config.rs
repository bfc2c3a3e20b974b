//! What a client is told: address, credentials, patience.

use std::time::Duration;

use url::Url;

use super::Auth;
use crate::error::Error;

/// Settings of one client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Address of the server; a path prefix is kept, trailing slashes do not matter. See [`parse_base_url`].
    pub base_url: Url,
    /// Credentials sent with every request.
    pub auth: Auth,
    /// `Origin` header, for front doors that insist on one. ComfyUI itself refuses foreign ones: default none.
    pub origin: Option<String>,
    /// Patience.
    pub timeouts: Timeouts,
    /// PEM certificates trusted beside those of the system, for self-signed servers.
    pub ca_pem: Option<Vec<u8>>,
}

impl ClientConfig {
    /// No credentials, default patience.
    pub fn new(base_url: Url) -> Self {
        Self { base_url, auth: Auth::None, origin: None, timeouts: Timeouts::default(), ca_pem: None }
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands. Default 5 s.
    pub connect: Duration,
    /// Without a byte of a JSON answer. Default 30 s: servers stall for seconds while they load a model.
    pub read: Duration,
    /// Without a byte of a file, and for an upload as a whole. Default 120 s.
    pub view_idle: Duration,
    /// Between pings on the event socket; proxies cut idle ones after 60 to 100 s. Default 25 s.
    pub ping: Duration,
    /// Without any frame on the event socket before it counts as dead. Default 60 s.
    pub socket_idle: Duration,
    /// TCP keep-alive. Default 30 s.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(30),
            view_idle: Duration::from_mins(2),
            ping: Duration::from_secs(25),
            socket_idle: Duration::from_mins(1),
            keepalive: Duration::from_secs(30),
        }
    }
}

/// Reads an address as people write it: `gpu1:8188`, `http://gpu1:8188/`, `https://host/comfy/`.
///
/// # Errors
/// [`Error::Config`] when it is no http(s) address, or carries credentials (they belong into [`Auth`], where
/// they do not end up in logs).
pub fn parse_base_url(text: &str) -> Result<Url, Error> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url =
        Url::parse(&with_scheme).map_err(|error| Error::config(format!("'{text}' is not an address: {error}")))?;
    normalise(url)
}

/// No query, no fragment, no trailing slash; `ws` schemes become `http` ones.
pub(super) fn normalise(mut url: Url) -> Result<Url, Error> {
    let scheme = match url.scheme() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        other => return Err(Error::config(format!("'{other}' addresses are not supported, use http or https"))),
    };
    if url.scheme() != scheme && url.set_scheme(scheme).is_err() {
        return Err(Error::config("the address has no host"));
    }
    if !url.has_host() {
        return Err(Error::config("the address has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config("put user and password into the credentials, not into the address"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// `base` + segments, each percent-encoded, whatever slash the base ends with.
pub(super) fn endpoint(base: &Url, route: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(route);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (text, expected) in [
            ("gpu1:8188", "http://gpu1:8188/"),
            (" http://gpu1:8188/ ", "http://gpu1:8188/"),
            ("https://host/comfy///?x=1#y", "https://host/comfy"),
            ("wss://host", "https://host/"),
        ] {
            assert_eq!(parse_base_url(text).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn unusable_addresses_are_refused() {
        for text in ["", "ftp://host", "http://user:pw@host", "http://", "file:///etc/passwd"] {
            assert!(matches!(parse_base_url(text), Err(Error::Config(_))), "{text}");
        }
    }

    #[test]
    fn routes_keep_the_prefix_and_cannot_escape_it() {
        let base = parse_base_url("https://host/comfy/").unwrap();
        assert_eq!(endpoint(&base, &["history", "a/b?c"]).as_str(), "https://host/comfy/history/a%2Fb%3Fc");
        let root = parse_base_url("http://host:8188/").unwrap();
        assert_eq!(endpoint(&root, &["queue"]).as_str(), "http://host:8188/queue");
    }
}
