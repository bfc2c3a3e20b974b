//! The words of the lease: who claims, what is loaded, what is to be done.

use crate::Seconds;

/// Who shares the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The LLM servers.
    Llm,
    /// The ComfyUI servers.
    Comfy,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Llm, Self::Comfy];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Llm => Self::Comfy,
            Self::Comfy => Self::Llm,
        }
    }

    pub(super) fn at(self) -> usize {
        match self {
            Self::Llm => 0,
            Self::Comfy => 1,
        }
    }
}

/// A claim on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(pub(super) u64);

/// Stands for the models that a claim loads: equal values load the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Load(pub u64);

impl Load {
    /// Something that the lease did not bring in.
    pub const UNKNOWN: Self = Self(u64::MAX);
}

/// How long who waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeaseLimits {
    /// How long LLM calls wait for ComfyUI before it gets no new prompts.
    pub llm_wait: Seconds,
    /// How long prompts wait for the LLM before it gets no new calls.
    pub comfy_wait: Seconds,
    /// How long a side must have had nothing to do before its models are evicted for the other.
    pub linger: Seconds,
}

/// Whether a load fits beside what the other side has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The other side has nothing loaded.
    Empty,
    /// Both fit.
    Fits,
    /// They do not, or nobody knows.
    Tight,
}

/// What is to be done for the lease; one look or eviction at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOrder {
    /// The claim runs now.
    Grant(ClaimId),
    /// Find out whether a side's load fits beside what the other side has loaded, and say so by
    /// [`super::Lease::looked`].
    Look {
        /// The side that wants to load.
        side: Side,
        /// What.
        load: Load,
        /// What the other side loaded last, when the lease brought it in.
        beside: Option<Load>,
        /// The other side is at work, so what it needs may not all be loaded yet.
        other_runs: bool,
    },
    /// Have a side drop what it has loaded, and say so by [`super::Lease::evicted`], whether it did or not.
    Evict(Side),
}

/// What is to be done now, and when to ask again although nothing happened.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseTurn {
    /// In this order.
    pub orders: Vec<LeaseOrder>,
    /// `None`: nothing changes by time alone.
    pub wake_at: Option<Seconds>,
}
