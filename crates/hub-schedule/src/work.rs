//! What a job means to the scheduler: how much work it is and what it needs.

use std::{fmt, str::FromStr};

use hub_core::{
    ids::{ServerId, WorkflowId},
    placement::Placement,
};

/// Work of a job whose workflow names no size: pixels and steps.
const PIXELS_ASSUMED: f64 = 1_048_576.0;
const STEPS_ASSUMED: f64 = 20.0;

/// The set of model files that a graph names: the affinity key. Equal sets have equal digests.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelSet(u128);

impl ModelSet {
    /// A graph that names no model file: nothing to load, nothing pushed out.
    pub const NONE: Self = Self(0);

    /// The set with this digest.
    pub const fn from_digest(digest: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(digest))
    }

    /// The same in 64 bits, equal in every process.
    #[expect(clippy::cast_possible_truncation, reason = "both halves of a digest in one")]
    pub fn folded(self) -> u64 {
        (self.0 ^ (self.0 >> 64)) as u64
    }

    /// Whether there is anything to load.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for ModelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ModelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ModelSet {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// Jobs that take about as long on the same server: one workflow version, one order of magnitude of
/// size · steps · batch. Steps of the scale are half powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkClass {
    /// The workflow version.
    pub workflow: WorkflowId,
    /// Twice the binary logarithm of size · steps · batch against one picture of the assumed size.
    pub scale: i16,
}

impl WorkClass {
    /// The class of a job; what the job leaves to its workflow is `None`.
    pub fn new(workflow: WorkflowId, pixels: Option<u64>, steps: Option<u32>, batch: u32) -> Self {
        let pixels = pixels.map_or(1.0, |pixels| pixels as f64 / PIXELS_ASSUMED);
        let steps = steps.map_or(1.0, |steps| f64::from(steps) / STEPS_ASSUMED);
        let work = (pixels * steps * f64::from(batch.max(1))).max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, reason = "a logarithm between -2100 and 300")]
        let scale = (2.0 * work.log2()).round() as i16;
        Self { workflow, scale }
    }

    /// How much more work this class is than `other` of the same workflow.
    pub(crate) fn ratio_to(self, other: Self) -> f64 {
        (f64::from(self.scale - other.scale) / 2.0).exp2()
    }
}

/// Everything about a job that decides where it may go and how long it takes there. Jobs of one kind are
/// interchangeable but for their callers and their turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// How much work.
    pub class: WorkClass,
    /// What must be loaded.
    pub models: ModelSet,
    /// The servers it is pinned to.
    pub placement: Placement,
    /// Servers that must not get it again, sorted.
    pub excluded: Vec<ServerId>,
    /// The server that lost it last: taken only when every other would take much longer.
    pub avoid: Option<ServerId>,
}

impl Kind {
    /// A kind without pins, exclusions or bad experiences.
    pub fn new(class: WorkClass, models: ModelSet) -> Self {
        Self { class, models, placement: Placement::Anywhere, excluded: Vec::new(), avoid: None }
    }
}
