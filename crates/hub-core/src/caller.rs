//! Who asks, and how much each may have.

mod weights;

use serde::{Deserialize, Serialize};

pub use weights::{CallerWeights, WEIGHT_DEFAULT, WEIGHT_MAX, WEIGHT_MIN};

/// Longest caller name, in characters.
const NAME_MAX_CHARS: usize = 80;

/// A caller as the queue and the history know it. Fair shares, idempotency keys and repeated-call
/// detection are kept apart by this name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Caller(String);

impl Caller {
    /// A caller by name, cut to 80 characters.
    pub fn named(name: &str) -> Self {
        Self(name.chars().take(NAME_MAX_CHARS).collect())
    }

    /// Whoever reaches an open loopback edge.
    pub fn local() -> Self {
        Self("local".to_owned())
    }

    /// The person at the admin pages.
    pub fn admin() -> Self {
        Self("admin".to_owned())
    }

    /// Whoever proved nothing, where it is not asked for.
    pub fn stranger() -> Self {
        Self("stranger".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
