//! What clients are told of the hub as a protected resource (RFC 9728), where tokens are taken.

use anyhow::Context as _;
use axum::{Json, Router, routing::get};
use hub_access::OauthConfig;
use hub_core::access::Scope;
use serde_json::{Value, json};
use url::Url;

use crate::guard::Challenge;

/// Where the metadata are, with the resource's own path behind it.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The hub, as its authorization server's clients see it.
pub(crate) struct ProtectedResource {
    metadata: Url,
    path: String,
    document: Value,
    challenge: Challenge,
}

impl ProtectedResource {
    /// # Errors
    /// When the audience is no http(s) address.
    pub(crate) fn of(config: &OauthConfig) -> anyhow::Result<Self> {
        let resource = Url::parse(&config.audience).context("oauth.audience is no address")?;
        let path = resource.path().trim_end_matches('/').to_owned();
        let mut metadata = resource.clone();
        metadata.set_path(&format!("{WELL_KNOWN}{path}"));
        metadata.set_query(None);
        let named =
            |scopes: &[Scope]| scopes.iter().map(|scope| format!("{}{scope}", config.scope_prefix)).collect::<Vec<_>>();
        let challenge = Challenge {
            metadata: metadata.clone(),
            scopes: named(&[Scope::Generate, Scope::Describe]).join(" "),
            prefix: config.scope_prefix.clone(),
        };
        let document = json!({
            "resource": config.audience,
            "authorization_servers": [config.issuer],
            "scopes_supported": named(&Scope::ALL),
            "bearer_methods_supported": ["header"],
            "resource_name": "GenImage Hub",
        });
        Ok(Self { metadata, path, document, challenge })
    }

    /// What refusals tell.
    pub(crate) fn challenge(&self) -> Challenge {
        self.challenge.clone()
    }

    /// The metadata, at the place that the resource's path says, and at the root, where some clients look.
    pub(crate) fn router(self) -> Router {
        let document = Json(self.document);
        let show = get(move || {
            let document = document.clone();
            async move { document }
        });
        let router = Router::new().route(WELL_KNOWN, show.clone());
        tracing::debug!(metadata = %self.metadata, "access tokens are taken");
        if self.path.is_empty() { router } else { router.route(&format!("{WELL_KNOWN}{}", self.path), show) }
    }
}
