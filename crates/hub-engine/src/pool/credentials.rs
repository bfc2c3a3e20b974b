//! Makes a client out of how a server is reached. Secrets and certificates are read anew each time, since one may
//! have been rotated; they are never kept here.

use comfyui::{Auth, Client, ClientConfig};
use hub_core::server::{CaSource, Reach, SecretSource, ServerAuth};

use crate::secret;

/// Largest certificate file that is read, in bytes.
const CA_MAX_BYTES: u64 = 1024 * 1024;

/// The client; nothing is sent yet.
///
/// # Errors
/// What cannot be read or used, in words; never a secret.
pub(super) async fn client(reach: &Reach) -> Result<Client, String> {
    let mut config = ClientConfig::new(reach.base_url.as_url().clone());
    config.auth = auth(&reach.auth).await.map_err(|error| error.to_string())?;
    config.origin.clone_from(&reach.origin);
    config.ca_pem = match &reach.ca {
        None => None,
        Some(CaSource::Pem(pem)) => Some(pem.clone().into_bytes()),
        Some(CaSource::File(path)) => Some(read_ca(path).await?),
    };
    Client::new(config).map_err(|error| error.to_string())
}

/// Whether the secret may change without anybody changing the settings.
pub(super) fn can_rotate(auth: &ServerAuth) -> bool {
    let elsewhere = |source: &SecretSource| !matches!(source, SecretSource::Literal(_));
    match auth {
        ServerAuth::None => false,
        ServerAuth::Basic { password, .. } => elsewhere(password),
        ServerAuth::Bearer { token } => elsewhere(token),
        ServerAuth::ApiKey { key, .. } => elsewhere(key),
        ServerAuth::Headers { headers } => headers.iter().any(|(_, value)| elsewhere(value)),
    }
}

async fn auth(auth: &ServerAuth) -> Result<Auth, secret::SecretError> {
    Ok(match auth {
        ServerAuth::None => Auth::None,
        ServerAuth::Basic { user, password } => {
            Auth::Basic { user: user.clone(), password: secret::resolve(password).await? }
        }
        ServerAuth::Bearer { token } => Auth::Bearer(secret::resolve(token).await?),
        ServerAuth::ApiKey { header, key } => Auth::Header { name: header.clone(), value: secret::resolve(key).await? },
        ServerAuth::Headers { headers } => {
            let mut resolved = Vec::with_capacity(headers.len());
            for (name, value) in headers {
                resolved.push((name.clone(), secret::resolve(value).await?));
            }
            Auth::Headers(resolved)
        }
    })
}

async fn read_ca(path: &str) -> Result<Vec<u8>, String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("the certificate file cannot be read: {why}");
    let size = tokio::fs::metadata(path).await.map_err(|error| unreadable(&error))?.len();
    if size > CA_MAX_BYTES {
        return Err(unreadable(&"it is too large"));
    }
    tokio::fs::read(path).await.map_err(|error| unreadable(&error))
}
