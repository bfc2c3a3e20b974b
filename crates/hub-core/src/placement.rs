//! Where a job may run, beyond what its workflow needs, and how soon its caller wants it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{error::UserError, ids::ServerId, limits};

/// The servers that a job is pinned to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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

/// What a caller wishes for a job, by name. Which servers and groups there are, the engine knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Higher goes first among the caller's own jobs. Default 0.
    pub priority: i32,
    /// Server by name or id.
    pub server: Option<String>,
    /// Group by name.
    pub group: Option<String>,
}

impl Wish {
    /// Parses what an edge was given; `None` means omitted.
    ///
    /// # Errors
    /// `bad_argument` naming `priority`, `server` or `group` and what is valid.
    pub fn parse(priority: Option<i64>, server: Option<String>, group: Option<String>) -> Result<Self, UserError> {
        let range = limits::PRIORITY_MIN..=limits::PRIORITY_MAX;
        let given = priority.unwrap_or(0);
        let priority = i32::try_from(given).ok().filter(|priority| range.contains(priority)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            UserError::argument("priority", format!("`priority` is {given}, but must be from {least} to {most}."))
        })?;
        for (name, value) in [("server", &server), ("group", &group)] {
            let chars = value.as_ref().map_or(1, |value| value.chars().count());
            if !(1..=limits::NAME_MAX_CHARS).contains(&chars) {
                let most = limits::NAME_MAX_CHARS;
                let message = format!("`{name}` has {chars} characters; it must have 1 to {most}.");
                return Err(UserError::argument(name, message));
            }
        }
        if server.is_some() && group.is_some() {
            return Err(UserError::argument("group", "A job is pinned to a server or to a group, not to both."));
        }
        Ok(Self { priority, server, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_out_of_range_are_refused_by_name() {
        let text = |text: &str| Some(text.to_owned());
        let fault = |priority, server, group| {
            Wish::parse(priority, server, group).expect_err("it is refused").argument.expect("it names the argument")
        };
        assert_eq!(fault(Some(101), None, None), "priority");
        assert_eq!(fault(Some(i64::MIN), None, None), "priority");
        assert_eq!(fault(None, text(""), None), "server");
        assert_eq!(fault(None, None, text(&"x".repeat(200))), "group");
        assert_eq!(fault(None, text("a"), text("b")), "group");
        let wish = Wish::parse(Some(-100), text("gpu-1"), None).expect("it is valid");
        assert_eq!((wish.priority, wish.server.as_deref()), (-100, Some("gpu-1")));
        assert_eq!(Wish::parse(None, None, None), Ok(Wish::default()));
    }
}
