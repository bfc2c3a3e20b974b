//! A form that came when its login had ended: what was typed goes back to who typed it.
//!
//! The page says that nothing was saved and holds the form again, ready to be sent. Nothing of it is acted on here. It is
//! drawn only for forms that one of the hub's own pages sent: what another site's page made up is no form to send again.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{Html, IntoResponse as _, Response},
};
use serde::Serialize;
use url::form_urlencoded;

use crate::{
    asker::is_api,
    csrf, forms,
    language::Said,
    pages::own_path,
    render::{Page, Renderer},
    router::WebConfig,
    said, viewer,
};

/// Largest form that is given back.
const KEPT_MAX_BYTES: usize = 256 * 1024;
/// Most fields of it.
const FIELDS_MAX: usize = 400;
/// Fields of the pages that hold a secret: they must not lie in a page.
const SECRETS: [&str; 7] = ["again", "api_key", "headers", "key", "password", "passphrase", "secret"];
/// So must none whose name says that it is one.
const SECRET_PARTS: [&str; 3] = ["passphrase", "password", "token"];
/// Field of this page that names a secret which is asked for once somebody is logged in: no form knows it.
const ASK_LATER: &str = "lost-secret";

/// Why a form was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody is logged in.
    NoLogin,
    /// Its page was of another login.
    OtherLogin,
}

/// The form again.
#[derive(Debug, Serialize)]
pub(crate) struct LostPage {
    title: Said,
    /// Somebody has to log in first.
    logs_in: bool,
    /// Where the form goes; `None` = it cannot be given back.
    action: Option<String>,
    fields: Vec<Typed>,
    /// Fields that hold secrets, to be typed again: here, or after the login, which gives this form back once more.
    secrets: Vec<String>,
    /// Field that names them until then.
    ask_later: &'static str,
}

#[derive(Debug, Serialize)]
struct Typed {
    name: String,
    value: String,
}

/// Gives forms back before anybody is logged in.
pub struct LostForms {
    config: WebConfig,
    renderer: Renderer,
}

impl LostForms {
    /// For the hub of that configuration.
    pub fn new(config: &WebConfig) -> Self {
        Self { renderer: Renderer::new(config), config: config.clone() }
    }

    /// Whether a request is a form that a page of this hub sent for a person.
    pub fn is_one(parts: &Parts) -> bool {
        is_form(parts)
    }

    /// The page for a form that came without a login: 401, with the form to be sent again.
    pub async fn page(&self, request: Request) -> Response {
        let wishes = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|wishes| wishes.to_str().ok());
        let language = wishes.and_then(|wishes| self.config.translations.for_wishes(wishes));
        let who = viewer::Viewer { form_token: None, language };
        viewer::later(who, give_back(&self.renderer, request, Why::NoLogin)).await
    }
}

impl std::fmt::Debug for LostForms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LostForms").finish_non_exhaustive()
    }
}

/// Whether a request is a form that a page of this hub sent for a person, and not a script for a piece of a page.
pub(crate) fn is_form(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let has = |name: header::HeaderName, what: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what))
    };
    parts.method == Method::POST
        && !is_api(parts.uri.path())
        && !headers.contains_key("hx-request")
        && has(header::ACCEPT, "text/html")
        && (is_pairs(headers) || has(header::CONTENT_TYPE, "multipart/form-data"))
        && csrf::is_own_page(headers, &parts.uri)
}

fn is_pairs(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// The page with the form again.
pub(crate) async fn give_back(renderer: &Renderer, request: Request, why: Why) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let page = LostPage::of(why, path, pairs(&parts.headers, body).await);
    let status = if why == Why::NoLogin { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    match renderer.render(&page) {
        Ok(page) => {
            let mut response = (status, Html(page)).into_response();
            // Words that somebody typed are nothing to keep.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => error.into_response(),
    }
}

/// The fields; none of a form with files, nor of one that is too large.
async fn pairs(headers: &HeaderMap, body: Body) -> Option<Vec<(String, String)>> {
    if !is_pairs(headers) {
        return None;
    }
    let bytes = to_bytes(body, KEPT_MAX_BYTES).await.ok()?;
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().take(FIELDS_MAX + 1).collect();
    (pairs.len() <= FIELDS_MAX).then_some(pairs)
}

/// Whether a field holds what must not lie in a page.
fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

impl LostPage {
    fn of(why: Why, path: &str, pairs: Option<Vec<(String, String)>>) -> Self {
        let logs_in = why == Why::NoLogin;
        let title = if logs_in { said!("You are no longer logged in") } else { said!("You have logged in anew") };
        // Only a path of this hub: the form must not go elsewhere.
        let action = pairs.is_some().then(|| own_path(path)).filter(|action| action == path);
        let mut page = Self { title, logs_in, action, fields: Vec::new(), secrets: Vec::new(), ask_later: ASK_LATER };
        for (name, value) in pairs.unwrap_or_default() {
            if name == forms::FIELD {
                continue;
            }
            let name = if name == ASK_LATER && is_secret(&value) { value.clone() } else { name };
            if !is_secret(&name) {
                page.fields.push(Typed { name, value });
            } else if !value.is_empty() && !page.secrets.contains(&name) {
                page.secrets.push(name);
            }
        }
        page
    }
}

impl Page for LostPage {
    const TEMPLATE: &'static str = "pages/lost.html";

    #[cfg(test)]
    fn sample() -> Self {
        let pairs = [("name", crate::pages::shown::sample::HOSTILE), ("password", "x"), ("headers", "y")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self::of(Why::NoLogin, "/servers?a=<b>", Some(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Files;

    fn page(pairs: &[(&str, &str)]) -> LostPage {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        LostPage::of(Why::OtherLogin, "/servers", Some(pairs))
    }

    #[test]
    fn what_was_typed_is_kept_and_no_secret_is() {
        let typed = [("csrf", "old"), ("name", "gpu"), ("password", "p"), ("api_key", ""), ("headers", "X: y")];
        let page = page(&typed);
        let kept: Vec<_> = page.fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!(kept, [("name", "gpu")]);
        assert_eq!(page.secrets, ["password", "headers"], "only what was typed must be typed again");
    }

    #[test]
    fn a_secret_is_still_asked_for_after_the_login_that_it_waits_for() {
        let asked_later = [("name", "gpu"), (ASK_LATER, "password"), (ASK_LATER, "headers"), ("password", "p")];
        let page = page(&asked_later);
        assert_eq!(page.secrets, ["password", "headers"]);
        assert_eq!(page.fields.len(), 1);
    }

    #[test]
    fn every_veiled_field_of_the_pages_is_a_secret() {
        for template in Files::iter().filter(|name| name.ends_with(".html")) {
            let file = Files::get(&template).expect("a template");
            let text = String::from_utf8_lossy(&file.data);
            for tag in text.split("<input").skip(1).filter_map(|rest| rest.split('>').next()) {
                if !tag.contains("type=\"password\"") {
                    continue;
                }
                let name = tag.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
                assert!(is_secret(name) || name.contains("{{"), "{template}: {name}");
            }
        }
    }

    #[test]
    fn only_a_form_of_the_hubs_own_page_is_given_back() {
        let is_one = |path: &str, headers: &[(&str, &str)]| {
            let mut request = Request::post(path).header("host", "hub");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_form(&request.body(()).expect("a request").into_parts().0)
        };
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let (html, own) = (("accept", "text/html,*/*"), ("origin", "http://hub"));
        assert!(is_one("/servers", &[kind, html, own]));
        assert!(is_one("/servers", &[kind, html, ("sec-fetch-site", "same-origin")]));
        assert!(is_one("/workflows", &[("content-type", "multipart/form-data; boundary=b"), html, own]));
        for other in [
            &[kind, html][..],
            &[kind, own],
            &[html, own],
            &[kind, html, ("origin", "http://hub:9")],
            &[kind, html, ("origin", "null")],
            &[kind, html, own, ("sec-fetch-site", "cross-site")],
            &[kind, html, own, ("hx-request", "true")],
        ] {
            assert!(!is_one("/servers", other), "{other:?}");
        }
        assert!(!is_one("/api/v1/servers", &[kind, html, own]));
        assert_eq!(LostPage::of(Why::NoLogin, "//evil.test/", Some(Vec::new())).action, None);
    }
}
