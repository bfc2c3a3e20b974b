//! Refuses changes that another site's page asks a browser to make.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site`, else `Origin`. A request with neither
//! comes from no browser of this decade, and so carries no credentials that a stranger could ride on.
//! Whoever is logged in proves with a token as well that the form is of his own page (see [`crate::forms`]);
//! where nobody has to log in there is no session to ride on, and a form that was open over a restart still works.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hub_access::LoggedIn;
use hub_core::limits;
use url::Url;

use crate::{
    error::WebError,
    forms::{self, NotTaken},
    lost::{self, Why},
    router::App,
};

/// Largest form: a picture and the fields around it.
pub(crate) const FORM_MAX_BYTES: usize = limits::INPUT_IMAGE_MAX_BYTES + 256 * 1024;

/// The check as a middleware.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    if !is_same_origin(request.headers(), request.uri()) {
        return refused("Changes asked for by another site are refused.", "Open the hub's own page and try there.");
    }
    let Some(session) = request.extensions().get::<LoggedIn>().cloned() else { return next.run(request).await };
    match forms::take(&session, request, FORM_MAX_BYTES).await {
        Ok(request) => next.run(request).await,
        Err(NotTaken::Wrong(request)) => {
            let (parts, body) = request.into_parts();
            // Whoever looks at it sends it again with the token of this login: a press on a page of the hub's own.
            if lost::is_form(&parts) {
                return lost::give_back(&app.renderer, Request::from_parts(parts, body), Why::OtherLogin).await;
            }
            refused(
                "The form does not belong to a page of this login.",
                "Open the page again and try once more; scripts use an API key.",
            )
        }
        Err(NotTaken::Unread) => {
            WebError::request(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large, or did not arrive whole.")
                .into_response()
        }
    }
}

fn refused(detail: &str, hint: &str) -> Response {
    let (status, hint) = (StatusCode::FORBIDDEN, Some(hint.to_owned()));
    WebError::Request { status, detail: detail.to_owned(), hint }.into_response()
}

/// Whether a browser says that one of the hub's own pages sent this, where [`is_same_origin`] takes the silence of
/// programs too.
pub(crate) fn is_own_page(headers: &HeaderMap, uri: &Uri) -> bool {
    let told = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    (told || headers.contains_key(header::ORIGIN)) && is_same_origin(headers, uri)
}

fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return true,
        Some(_) => return false,
        None => {}
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return true };
    let own = text(header::HOST.as_str()).or_else(|| uri.authority().map(http::uri::Authority::as_str));
    // Only host and port are compared: a proxy that ends TLS hides the scheme.
    match (Url::parse(origin), own) {
        (Ok(origin), Some(own)) => {
            Url::parse(&format!("{}://{own}", origin.scheme())).is_ok_and(|own| own.origin() == origin.origin())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &str)]) -> bool {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        is_same_origin(&headers, &Uri::from_static("/playground"))
    }

    #[test]
    fn only_the_hubs_own_pages_and_programs_may_change_things() {
        for own in [
            &[("host", "hub:8001")][..],
            &[("host", "hub:8001"), ("origin", "http://hub:8001")],
            &[("host", "hub"), ("origin", "https://hub")],
            &[("host", "hub"), ("sec-fetch-site", "same-origin"), ("origin", "http://hub")],
            &[("host", "hub"), ("sec-fetch-site", "none")],
        ] {
            assert!(verdict(own), "{own:?}");
        }
        for foreign in [
            &[("host", "hub:8001"), ("origin", "http://evil.test")][..],
            &[("host", "hub:8001"), ("origin", "http://hub:9999")],
            &[("host", "hub:8001"), ("origin", "null")],
            &[("host", "hub"), ("sec-fetch-site", "cross-site")],
            &[("host", "hub"), ("sec-fetch-site", "same-site"), ("origin", "http://hub")],
            &[("origin", "http://hub")],
        ] {
            assert!(!verdict(foreign), "{foreign:?}");
        }
    }
}
