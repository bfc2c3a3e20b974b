//! Typed ids. Each prints with its kind as prefix (`job_0198…`), so that a log line or an agent's
//! argument cannot be mistaken for another kind, and parses strictly.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema::ObjectBuilder, schema::Type},
};
use uuid::Uuid;

/// A string that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {kind} id; they look like `{kind}_` followed by 32 hexadecimal digits")]
pub struct InvalidId {
    /// Prefix of the expected kind, without the underscore.
    pub kind: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
}

fn parse(kind: &'static str, text: &str) -> Result<Uuid, InvalidId> {
    let invalid = || InvalidId { kind, given: text.chars().take(80).collect() };
    let hex = text
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|hex| hex.len() == 32)
        .ok_or_else(invalid)?;
    Uuid::try_parse(hex).map_err(|_| invalid())
}

/// Defines one id newtype: a time-ordered UUID (version 7) behind a prefix.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Prefix of the printed form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, ordered by the time of its making.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps a stored UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID as stored.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse($prefix, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                printed($prefix)
            }
        }

        impl ToSchema for $name {}
    };
}

/// The schema of a printed id.
fn printed(prefix: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{prefix}_[0-9a-f]{{32}}$"))).into()
}

id!(
    /// One job: a request that was accepted.
    JobId,
    "job"
);
id!(
    /// One stored picture or file, result or input.
    ArtifactId,
    "img"
);
id!(
    /// One ComfyUI server of the pool.
    ServerId,
    "srv"
);
id!(
    /// One version of a workflow.
    WorkflowId,
    "wf"
);
id!(
    /// One render type.
    RenderTypeId,
    "rt"
);
id!(
    /// One style.
    StyleId,
    "sty"
);
id!(
    /// One LLM server.
    LlmServerId,
    "llm"
);
id!(
    /// One API key.
    KeyId,
    "key"
);
id!(
    /// One entry of the audit log.
    AuditId,
    "aud"
);

/// The id under which one attempt runs on a ComfyUI server: a canonical lower-case UUID (version 4),
/// chosen by the hub before it posts, as servers from 0.24 on demand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptId(Uuid);

impl PromptId {
    /// A new random prompt id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Wraps a stored UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID as stored and as posted.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_through_text_and_json() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        let json = serde_json::to_string(&id).expect("ids serialise");
        assert_eq!(serde_json::from_str::<JobId>(&json).expect("ids parse"), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused_by_name() {
        let server = ServerId::new().to_string();
        let error = server.parse::<JobId>().expect_err("a server id is no job id");
        assert!(error.to_string().contains("not a job id"), "{error}");
        assert!("job_zz".parse::<JobId>().is_err());
        assert!("job_".parse::<JobId>().is_err());
    }
}
