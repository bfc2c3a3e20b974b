//! Files to keep: what a browser stores under a name instead of showing it.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

/// Type of configurations and graphs.
pub(crate) const JSON: &str = "application/json";
/// Name of a configuration's file.
pub(crate) const CONFIGURATION: &str = "genimage-config.json";

/// A file of that name and type. Nothing on the way keeps it: asked for again, it may be another.
pub(crate) fn answer(name: &str, kind: &'static str, content: impl Into<Body>) -> Response {
    let body: Body = content.into();
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The header by which an answer is a file to keep, of that name. A header holds plain signs only; a name with others
/// is told once more behind it, encoded, which is what browsers take (RFC 6266).
pub(crate) fn disposition(name: &str) -> HeaderValue {
    let name: String = name.chars().map(|sign| if is_harmful(sign) { '_' } else { sign }).collect();
    let plain: String = name.chars().map(|sign| if is_plain(sign) { sign } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        encode(&name, &mut value);
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Signs that no name of a file has on any system, and those that make a name read as another one.
fn is_harmful(sign: char) -> bool {
    let turns = matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    sign.is_control() || turns || matches!(sign, '/' | '\\')
}

/// Whether every browser reads a sign between quotation marks as it stands: some decode what follows a `%`.
fn is_plain(sign: char) -> bool {
    matches!(sign, ' '..='~') && !matches!(sign, '"' | '%')
}

/// Appends a name as RFC 8187 has it: few signs stand for themselves.
fn encode(name: &str, value: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        disposition(name).to_str().expect("plain signs").to_owned()
    }

    #[test]
    fn a_plain_name_stands_between_quotation_marks() {
        assert_eq!(named("pictures-1.zip"), "attachment; filename=\"pictures-1.zip\"");
        assert_eq!(named("my graph's (2).json"), "attachment; filename=\"my graph's (2).json\"");
    }

    #[test]
    fn another_name_is_told_encoded_as_well() {
        assert_eq!(
            named("Größe 🦊.json"),
            "attachment; filename=\"Gr__e _.json\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%F0%9F%A6%8A.json"
        );
        assert_eq!(named("a\"b.txt"), "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt");
        assert_eq!(named("100%.txt"), "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt");
    }

    #[test]
    fn no_name_leads_elsewhere_or_reads_as_another() {
        assert_eq!(named("../a\\b\r\nc"), "attachment; filename=\".._a_b__c\"");
        assert_eq!(named("evil\u{202e}gnp.exe"), "attachment; filename=\"evil_gnp.exe\"");
        assert_eq!(named(""), "attachment; filename=\"\"");
    }

    #[test]
    fn an_answer_says_what_it_is_and_is_kept_nowhere() {
        let answer = answer("a.json", JSON, "{}".to_owned());
        let header = |name: header::HeaderName| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header(header::CONTENT_TYPE), "application/json");
        assert_eq!(header(header::CONTENT_DISPOSITION), "attachment; filename=\"a.json\"");
        assert_eq!(header(header::CACHE_CONTROL), "no-store");
    }
}
