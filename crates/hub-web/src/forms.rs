//! Forms of somebody who is logged in carry a token that only pages of his session know.
//!
//! It is put into every form as it leaves and taken out of every form as it comes back, here and nowhere
//! else, so that no page can forget it and no handler sees it.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, header},
};
use hub_access::LoggedIn;

use crate::viewer;

/// Name of the field.
pub(crate) const FIELD: &str = "csrf";
/// Header for scripts, with the same value.
const HEADER: &str = "x-csrf-token";

/// The page with the token in each form that changes something.
pub(crate) fn guarded(page: String) -> String {
    let Some(token) = viewer::current().form_token else { return page };
    let mut guarded = String::with_capacity(page.len() + 512);
    let mut rest = page.as_str();
    while let Some(begin) = rest.find("<form") {
        let Some(length) = rest[begin..].find('>') else { break };
        let (before, after) = rest.split_at(begin + length + 1);
        guarded.push_str(before);
        if before[begin..].contains("method=\"post\"") {
            // The token is of letters, digits, `-` and `_`.
            guarded.extend(["<input type=\"hidden\" name=\"", FIELD, "\" value=\"", &token, "\">"]);
        }
        rest = after;
    }
    guarded.push_str(rest);
    guarded
}

/// Why a form was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// Its token is missing or wrong. The request as it came.
    Wrong(Box<Request>),
    /// It is larger than may be, or did not arrive.
    Unread,
}

/// The request of somebody who is logged in, without its token.
///
/// # Errors
/// When the token is not that of his pages, or the form cannot be read.
pub(crate) async fn take(session: &LoggedIn, request: Request, body_max: usize) -> Result<Request, NotTaken> {
    let text = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    if session.is_form_token(&text(request.headers(), HEADER)) {
        return Ok(request);
    }
    let kind = text(request.headers(), header::CONTENT_TYPE.as_str());
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, body_max).await else { return Err(NotTaken::Unread) };
    let taken = if kind.starts_with("multipart/form-data") {
        from_multipart(&bytes)
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        from_pairs(&bytes)
    } else {
        None
    };
    match taken.filter(|(token, _)| session.is_form_token(token)) {
        Some((_, rest)) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Ok(Request::from_parts(parts, Body::from(rest)))
        }
        None => Err(NotTaken::Wrong(Box::new(Request::from_parts(parts, Body::from(bytes))))),
    }
}

/// The token and the other fields.
fn from_pairs(body: &Bytes) -> Option<(String, Bytes)> {
    let text = std::str::from_utf8(body).ok()?;
    let is_token = |pair: &&str| pair.strip_prefix(FIELD).is_some_and(|value| value.starts_with('='));
    let token = text.split('&').find(is_token)?.split_once('=')?.1.to_owned();
    let rest: Vec<&str> = text.split('&').filter(|pair| !is_token(pair)).collect();
    Some((token, Bytes::from(rest.join("&"))))
}

/// The token and the other parts. It is the first field of its form, so it is the first part.
fn from_multipart(body: &Bytes) -> Option<(String, Bytes)> {
    const BLANK: &[u8] = b"\r\n\r\n";
    let find = |from: usize, what: &[u8]| {
        body.get(from..)?.windows(what.len()).take(4096).position(|window| window == what).map(|at| from + at)
    };
    let boundary = body.get(..find(0, b"\r\n")?)?.to_vec();
    let head_end = find(boundary.len(), BLANK)?;
    let head = std::str::from_utf8(body.get(boundary.len()..head_end)?).ok()?;
    if !head.contains(&format!("name=\"{FIELD}\"")) || !boundary.starts_with(b"--") {
        return None;
    }
    let value = head_end + BLANK.len();
    let mut end = b"\r\n".to_vec();
    end.extend_from_slice(&boundary);
    let value_end = find(value, &end)?;
    let token = std::str::from_utf8(body.get(value..value_end)?).ok()?.to_owned();
    Some((token, body.slice(value_end + 2..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::Viewer;

    #[test]
    fn only_forms_that_change_something_get_the_token() {
        let page =
            "<form method=\"get\" action=\"/a\"><input></form><p><form class=\"x\" method=\"post\"><b>".to_owned();
        assert_eq!(guarded(page.clone()), page, "nobody is logged in");
        let somebody = Viewer { form_token: Some("abc".to_owned()), language: None };
        let drawn = viewer::now(somebody, || guarded(page));
        assert_eq!(drawn.matches("name=\"csrf\" value=\"abc\"").count(), 1);
        assert!(drawn.contains("method=\"post\"><input type=\"hidden\""), "{drawn}");
    }

    #[test]
    fn the_token_is_cut_out_of_either_kind_of_form() {
        let pairs = Bytes::from_static(b"csrf=abc&name=x&csrfx=1");
        assert_eq!(from_pairs(&pairs), Some(("abc".to_owned(), Bytes::from_static(b"name=x&csrfx=1"))));
        assert_eq!(from_pairs(&Bytes::from_static(b"name=csrf")), None);
        let whole = "--B\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n\
                     --B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n";
        let (token, rest) = from_multipart(&Bytes::from(whole)).expect("a token");
        assert_eq!(token, "abc");
        assert!(rest.starts_with(b"--B\r\nContent-Disposition: form-data; name=\"a\""), "{rest:?}");
        for other in ["", "--B\r\n", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--"] {
            assert_eq!(from_multipart(&Bytes::from(other)), None, "{other}");
        }
    }
}
