//! What the list of servers is narrowed to: words and a state.

use hub_core::server::ServerState;
use hub_engine::ServerView;
use serde::{Deserialize, Serialize};

use crate::{language::Said, said};

/// States that people look for: name in the address and title.
const STATES: [(&str, Said); 5] = [
    ("", said!("All states")),
    ("ready", said!("Ready")),
    ("busy", said!("Busy")),
    ("offline", said!("Offline")),
    ("off", said!("Off or draining")),
];

/// The form as typed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    pub(super) q: String,
    pub(super) state: String,
}

/// A state in the form.
#[derive(Debug, Serialize)]
pub(super) struct Choice {
    name: &'static str,
    title: Said,
    chosen: bool,
}

impl ListQuery {
    /// Whether a server is among those that are asked for. An unknown state is none: a bookmark of another version
    /// must not end in an error.
    pub(super) fn takes(&self, view: &ServerView) -> bool {
        let server = &view.server;
        let told = format!("{} {} {}", server.name, server.base_url, server.group.as_deref().unwrap_or_default());
        let told = told.to_lowercase();
        let has_words = self.q.to_lowercase().split_whitespace().all(|word| told.contains(word));
        let is_on = matches!(view.state, ServerState::Ready | ServerState::Degraded);
        let is_off = matches!(view.state, ServerState::Disabled | ServerState::Draining);
        has_words
            && match self.state.as_str() {
                "ready" => is_on,
                "busy" => view.in_flight > 0,
                "offline" => !is_on && !is_off,
                "off" => is_off,
                _ => true,
            }
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.query().is_empty()
    }

    pub(super) fn choices(&self) -> Vec<Choice> {
        STATES.into_iter().map(|(name, title)| Choice { name, title, chosen: name == self.state }).collect()
    }

    /// Address of `base` with the same filter.
    pub(super) fn path(&self, base: &str) -> String {
        let query = self.query();
        if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
    }

    fn query(&self) -> String {
        let known = STATES.iter().any(|(name, _)| *name == self.state);
        let given = [("q", self.q.trim()), ("state", if known { self.state.as_str() } else { "" })];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given.into_iter().filter(|(_, value)| !value.is_empty()));
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample_view, *};

    #[test]
    fn servers_are_found_by_words_and_state() {
        let mut view = sample_view();
        (view.server.name, view.server.group) = ("Card One".to_owned(), None);
        view.in_flight = 0;
        let takes = |q: &str, state: &str, view: &ServerView| {
            ListQuery { q: q.to_owned(), state: state.to_owned() }.takes(view)
        };
        assert!(takes("", "", &view) && takes(" one CARD ", "", &view) && takes("192.0.2.7", "", &view));
        assert!(!takes("card two", "", &view));
        for (state, found) in [
            (ServerState::Ready, ["ready"].as_slice()),
            (ServerState::Down, &["offline"]),
            (ServerState::Unauthorized, &["offline"]),
            (ServerState::Disabled, &["off"]),
            (ServerState::Draining, &["off"]),
        ] {
            view.state = state;
            for (name, _) in &STATES[1..] {
                assert_eq!(takes("", name, &view), found.contains(name), "{state:?} as {name}");
            }
        }
        view.in_flight = 1;
        assert!(takes("", "busy", &view) && takes("", "of another version", &view));
        let query = ListQuery { q: " a & b ".to_owned(), state: "off".to_owned() };
        assert_eq!(query.path("/servers/live"), "/servers/live?q=a+%26+b&state=off");
        assert_eq!(ListQuery { state: "gone".to_owned(), ..ListQuery::default() }.path("/servers"), "/servers");
    }
}
