//! How much of the pool each caller gets against others that wait.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Caller, NAME_MAX_CHARS};
use crate::error::UserError;

/// Smallest weight.
pub const WEIGHT_MIN: f64 = 0.1;
/// Largest weight.
pub const WEIGHT_MAX: f64 = 100.0;
/// Weight of callers that none is set for.
pub const WEIGHT_DEFAULT: f64 = 1.0;
/// Most callers that weights are set for.
const CALLERS_MAX: usize = 10_000;

/// Weights of callers by name: while both have work, one of weight 2 gets twice the GPU-seconds of one of
/// weight 1. Callers that are not named have [`WEIGHT_DEFAULT`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, f64>", into = "BTreeMap<String, f64>")]
pub struct CallerWeights(BTreeMap<Caller, f64>);

impl CallerWeights {
    /// The weight of each caller that has one of its own, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Caller, f64)> {
        self.0.iter().map(|(caller, weight)| (caller, *weight))
    }

    /// These, and those of `others` for callers that have none here.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let mut all = others.0.clone();
        all.extend(self.0.iter().map(|(caller, weight)| (caller.clone(), *weight)));
        Self(all)
    }
}

impl TryFrom<BTreeMap<String, f64>> for CallerWeights {
    type Error = UserError;

    /// # Errors
    /// `bad_argument` naming the caller, when its name or weight is out of range.
    fn try_from(given: BTreeMap<String, f64>) -> Result<Self, UserError> {
        if given.len() > CALLERS_MAX {
            let message = format!("{} callers have weights; at most {CALLERS_MAX} may.", given.len());
            return Err(UserError::argument("weights", message));
        }
        let mut weights = BTreeMap::new();
        for (name, weight) in given {
            let chars = name.chars().count();
            let shown: String = name.chars().filter(|c| !c.is_control()).take(NAME_MAX_CHARS).collect();
            let argument = format!("weights.{shown}");
            if chars == 0 || chars > NAME_MAX_CHARS || name.trim() != name || name.chars().any(char::is_control) {
                let message = format!(
                    "`{shown}` is no caller's name: 1 to {NAME_MAX_CHARS} characters, no control characters, no space \
                     around it."
                );
                return Err(UserError::argument(&argument, message));
            }
            if !(WEIGHT_MIN..=WEIGHT_MAX).contains(&weight) {
                let message =
                    format!("The weight of `{shown}` is {weight}, but must be from {WEIGHT_MIN} to {WEIGHT_MAX}.");
                return Err(UserError::argument(&argument, message));
            }
            weights.insert(Caller::named(&name), weight);
        }
        Ok(Self(weights))
    }
}

impl From<CallerWeights> for BTreeMap<String, f64> {
    fn from(weights: CallerWeights) -> Self {
        weights.0.into_iter().map(|(caller, weight)| (caller.as_str().to_owned(), weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(given: &[(&str, f64)]) -> Result<CallerWeights, UserError> {
        given.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect::<BTreeMap<_, _>>().try_into()
    }

    #[test]
    fn absurd_weights_and_names_are_refused_by_name() {
        for weight in [0.0, -1.0, 0.09, 100.1, f64::NAN, f64::INFINITY] {
            let error = weights(&[("alice", 2.0), ("bob", weight)]).expect_err("out of range");
            assert_eq!(error.argument.as_deref(), Some("weights.bob"));
            assert!(error.message.contains("from 0.1 to 100"), "{error}");
        }
        for name in ["", " alice", "a\u{0}b", &"x".repeat(81)] {
            assert!(weights(&[(name, 1.0)]).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<CallerWeights>(r#"{"bob":-1}"#).is_err());
    }

    #[test]
    fn what_is_said_here_goes_before_what_is_said_there() {
        let (here, there) =
            (weights(&[("a", 2.0)]).expect("valid"), weights(&[("a", 9.0), ("b", 3.0)]).expect("valid"));
        let all: Vec<(String, f64)> = BTreeMap::from(here.or(&there)).into_iter().collect();
        assert_eq!(all, [("a".to_owned(), 2.0), ("b".to_owned(), 3.0)]);
        let json = serde_json::to_string(&here).expect("serialises");
        assert_eq!(json, r#"{"a":2.0}"#);
        assert_eq!(serde_json::from_str::<CallerWeights>(&json).expect("reads"), here);
    }
}
