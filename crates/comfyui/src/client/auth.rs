//! Credentials as headers. The same headers go on HTTP requests and on the WebSocket upgrade.

use base64::Engine as _;
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;

/// How to prove who we are.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic authentication.
    Basic {
        /// User name, without a colon.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// `Authorization: Bearer …`; for ComfyUI-Login the token it prints, not the password.
    Bearer(SecretString),
    /// One header, such as `X-API-Key`.
    Header {
        /// Header name.
        name: String,
        /// Header value.
        value: SecretString,
    },
    /// Several headers, such as those of Cloudflare Access.
    Headers(Vec<(String, SecretString)>),
}

pub(super) fn headers(auth: &Auth, origin: Option<&str>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    match auth {
        Auth::None => {}
        Auth::Basic { user, password } => {
            if user.contains(':') {
                return Err(Error::config("a user name cannot contain a colon"));
            }
            let pair = format!("{user}:{}", password.expose_secret());
            let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
            headers.insert(AUTHORIZATION, sensitive(&text)?);
        }
        Auth::Bearer(token) => {
            let token = token.expose_secret().trim();
            // ComfyUI-Login answers 500 to a header with more than one blank: catch it here, where the cause is known.
            if token.is_empty() || token.contains(char::is_whitespace) {
                return Err(Error::config("a bearer token is one word without blanks"));
            }
            headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {token}"))?);
        }
        Auth::Header { name, value } => insert(&mut headers, name, value)?,
        Auth::Headers(list) => list.iter().try_for_each(|(name, value)| insert(&mut headers, name, value))?,
    }
    if let Some(origin) = origin {
        let value =
            HeaderValue::from_str(origin).map_err(|_| Error::config("the origin cannot be sent as a header"))?;
        headers.insert(ORIGIN, value);
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &SecretString) -> Result<(), Error> {
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| Error::config(format!("'{name}' is not a header name")))?;
    headers.insert(name, sensitive(value.expose_secret().trim())?);
    Ok(())
}

/// Marked so that neither logs nor HTTP/2 compression tables keep it.
fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::config("the credentials contain characters no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}
