//! Where a job may run, beyond what its workflow needs.

use serde::{Deserialize, Serialize};

use crate::ids::ServerId;

/// The servers that a job is pinned to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Any server that can run it.
    #[default]
    Anywhere,
    /// This one only.
    Server(ServerId),
    /// Those of a group, by the group's name.
    Group(String),
}

impl Placement {
    /// Whether a server, with the group it is in, is among them.
    pub fn allows(&self, server: ServerId, group: Option<&str>) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Server(pinned) => *pinned == server,
            Self::Group(name) => group == Some(name),
        }
    }
}
