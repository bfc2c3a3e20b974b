//! The cookie that says who is logged in.

use axum::http::{HeaderMap, HeaderValue, header};
use hub_access::{LoggedIn, SESSION_LIFE};
use secrecy::ExposeSecret as _;

use crate::router::{App, WebConfig};

/// Behind https: browsers take a cookie of this name only with `Secure`, for this very host.
const SECURE_NAME: &str = "__Host-genimage";
/// On plain http, where the other is not taken.
const PLAIN_NAME: &str = "genimage";

/// The token in a request's cookies, if any.
pub fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<(&str, &str)> =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    // A neighbour on a sub-domain can set the plain one, but never the other.
    let named = |name: &str| pairs.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    named(SECURE_NAME).or_else(|| named(PLAIN_NAME)).filter(|token| !token.is_empty())
}

/// Whether browsers reach the hub by https.
fn is_secure(config: &WebConfig) -> bool {
    config.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
}

/// The header that begins a session in a browser.
pub(crate) fn begin(app: &App, session: &LoggedIn) -> Option<HeaderValue> {
    set(&app.config, session.token().expose_secret(), SESSION_LIFE.num_seconds())
}

/// The header that ends it.
pub(crate) fn end(app: &App) -> Option<HeaderValue> {
    set(&app.config, "", 0)
}

fn set(config: &WebConfig, token: &str, seconds: i64) -> Option<HeaderValue> {
    let (name, secure) = if is_secure(config) { (SECURE_NAME, "; Secure") } else { (PLAIN_NAME, "") };
    let cookie = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::try_from(cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use hub_store::SearchBounds;

    use super::*;
    use crate::language::Translations;

    #[test]
    fn the_secure_cookie_goes_before_the_plain_one() {
        let headers = |text: &'static str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]);
        assert_eq!(session_of(&headers("a=1; genimage=plain; __Host-genimage=own")), Some("own"));
        assert_eq!(session_of(&headers("genimage=plain")), Some("plain"));
        assert_eq!(session_of(&headers("genimage=; b=2")), None);
        assert_eq!(session_of(&HeaderMap::new()), None);
    }

    #[test]
    fn behind_https_the_cookie_is_bound_to_the_host() {
        let config = |url: Option<&str>| WebConfig {
            public_url: url.map(|url| url.parse().expect("a URL")),
            demo: false,
            version: "0",
            translations: Translations::default(),
            search: SearchBounds::default(),
        };
        let cookie = |url| set(&config(url), "t", 9).expect("a value").to_str().expect("text").to_owned();
        let secure = cookie(Some("https://hub.example"));
        assert_eq!(secure, "__Host-genimage=t; Path=/; Max-Age=9; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(cookie(None), "genimage=t; Path=/; Max-Age=9; HttpOnly; SameSite=Lax");
    }
}
