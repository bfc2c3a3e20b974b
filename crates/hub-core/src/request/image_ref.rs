//! How a caller names a picture.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
};

/// Start of the hub's own resource URIs.
const RESOURCE_PREFIX: &str = "genimage://images/";

/// A picture by reference. Printed and stored in the form in which it was given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ImageRef {
    /// A stored picture: `img_…` or `genimage://images/img_…`.
    Artifact(ArtifactId),
    /// The primary result of a job: `job_…`.
    Job(JobId),
    /// A picture elsewhere, http or https.
    Url(Url),
    /// `data:image/…;base64,…`: the picture itself. Stored as an artifact before the job is.
    Data(String),
}

impl ImageRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`ErrorCode::InputImage`] saying which forms are valid.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        let text = text.trim();
        let refuse = |why: String| UserError::new(ErrorCode::InputImage, why).with_valid(VALID_FORMS);
        if let Some(id) = text.strip_prefix(RESOURCE_PREFIX) {
            let id = id.split('.').next().unwrap_or(id);
            return ArtifactId::from_str(id).map(Self::Artifact).map_err(|error| refuse(format!("{error}.")));
        }
        if text.starts_with("img_") {
            return text.parse().map(Self::Artifact).map_err(|error| refuse(format!("{error}.")));
        }
        if text.starts_with("job_") {
            return text.parse().map(Self::Job).map_err(|error| refuse(format!("{error}.")));
        }
        if text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("data:")) {
            return if text.contains(";base64,") {
                Ok(Self::Data(text.to_owned()))
            } else {
                Err(refuse("The data URI is not base64 encoded.".to_owned()))
            };
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self::Url(url)),
            Ok(url) => Err(refuse(format!("Pictures are not read from `{}:` addresses.", url.scheme()))),
            Err(_) => Err(refuse(format!("`{shown}` names no picture."))),
        }
    }
}

const VALID_FORMS: [&str; 5] = [
    "img_… (an image id)",
    "job_… (a finished job)",
    "genimage://images/img_…",
    "http(s)://…",
    "data:image/png;base64,…",
];

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(id) => id.fmt(f),
            Self::Job(id) => id.fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Data(uri) => f.write_str(uri),
        }
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(uri) => write!(f, "Data({} characters)", uri.len()),
            other => fmt::Display::fmt(other, f),
        }
    }
}

impl TryFrom<String> for ImageRef {
    type Error = UserError;

    fn try_from(text: String) -> Result<Self, UserError> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(reference: ImageRef) -> Self {
        reference.to_string()
    }
}
