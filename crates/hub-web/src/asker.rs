//! Who asks, as the guard before this edge found out.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use hub_core::caller::Caller;

/// The caller of this request.
pub(crate) struct Asker(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let named = parts.extensions.get::<Caller>().cloned();
        Ok(Self(named.unwrap_or_else(|| if is_api(parts.uri.path()) { Caller::local() } else { Caller::admin() })))
    }
}

/// Whether a path belongs to programs: faults there are told as problem documents.
pub(crate) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || ["/readyz", "/healthz", "/livez", "/metrics"].contains(&path)
}
