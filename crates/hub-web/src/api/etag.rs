//! Versions of what can be edited, so that two editors do not overwrite each other unseen.
//!
//! A version is a hash of the whole stored thing, secrets included; its key is drawn at every start, so
//! that it tells nothing about a secret. After a restart older versions therefore fit nothing any more:
//! an editor is then asked to read again.

use std::hash::{BuildHasher as _, RandomState};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hub_core::error::{ErrorCode, UserError};
use serde::Serialize;

use crate::error::WebError;

/// Makes versions; one per hub.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions(RandomState);

impl Versions {
    /// The version of a thing as stored.
    pub(crate) fn of(&self, stored: &impl Serialize) -> String {
        format!("{:016x}", self.0.hash_one(serde_json::to_vec(stored).unwrap_or_default()))
    }
}

/// What `If-Match` demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever there is.
    Any,
    /// One of these versions.
    Versions(Vec<String>),
}

impl Expected {
    /// Reads the header; without one any version will do.
    ///
    /// # Errors
    /// 400 when it is no list of entity tags.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, WebError> {
        let mut versions = Vec::new();
        for value in headers.get_all(header::IF_MATCH) {
            let text = value.to_str().unwrap_or("?");
            for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                if tag == "*" {
                    return Ok(Self::Any);
                }
                let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let Some(version) = inner else {
                    return Err(WebError::Request {
                        status: StatusCode::BAD_REQUEST,
                        detail: "`If-Match` is no list of entity tags.".to_owned(),
                        hint: Some("Send the `ETag` of the answer as it came, quotes included.".to_owned()),
                    });
                };
                versions.push(version.to_owned());
            }
        }
        Ok(if versions.is_empty() { Self::Any } else { Self::Versions(versions) })
    }

    /// Whether `version` is what was demanded.
    ///
    /// # Errors
    /// `changed` when it is not.
    pub(crate) fn check(&self, version: &str) -> Result<(), UserError> {
        match self {
            Self::Versions(expected) if !expected.iter().any(|tag| tag == version) => {
                Err(UserError::new(ErrorCode::Changed, "Somebody changed it since you read it; nothing was written.")
                    .with_hint("Read it again, make your change to that, and send its `ETag` as `If-Match`."))
            }
            _ => Ok(()),
        }
    }
}

/// Whether what a page's form was filled from is still what is stored. A form without a version was
/// filled from nothing.
///
/// # Errors
/// `changed` when it is not.
pub(crate) fn same_version(read: &str, stored: &str) -> Result<(), UserError> {
    if read.is_empty() { Ok(()) } else { Expected::Versions(vec![read.to_owned()]).check(stored) }
}

/// The version as `ETag`.
pub(crate) fn header_value(version: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{version}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_MATCH, value.parse().expect("a value"))])
    }

    #[test]
    fn a_version_fits_itself_alone() {
        let versions = Versions::default();
        let (one, other) = (versions.of(&"one"), versions.of(&"other"));
        let expected = Expected::of(&headers(&format!("\"{one}\""))).expect("a list");
        assert_eq!(expected.check(&one), Ok(()));
        assert_eq!(expected.check(&other).map_err(|error| error.code), Err(ErrorCode::Changed));
        let either = Expected::of(&headers(&format!("\"{one}\", \"{other}\""))).expect("a list");
        assert_eq!(either.check(&other), Ok(()));
        assert_ne!(Versions::default().of(&"one"), one, "the key is another at each start");
    }

    #[test]
    fn no_header_and_a_star_take_any_version() {
        assert_eq!(Expected::of(&HeaderMap::new()).expect("none"), Expected::Any);
        assert_eq!(Expected::of(&headers("*")).expect("a star"), Expected::Any);
        assert!(Expected::of(&headers("7")).is_err());
        assert!(Expected::of(&headers("W/\"7\"")).is_err(), "a weak tag proves nothing");
    }
}
