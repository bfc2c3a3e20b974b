//! What the list of jobs is filtered by: the form, its address, and the filter it stands for.

use chrono::{Days, NaiveDate};
use hub_core::{error::UserError, job::JobStateKind, request::JOB_TOOLS};
use hub_store::JobFilter;
use serde::{Deserialize, Serialize};

use crate::{
    api,
    error::WebError,
    language::Said,
    pages::{form::Fault, shown::tool_title},
    router::App,
    said,
};

/// Groups of states: name, title, states as the API names them.
pub(in crate::pages) const GROUPS: [(&str, Said, &str); 6] = [
    ("", said!("All"), ""),
    ("waiting", said!("Waiting"), "planning,queued"),
    ("active", said!("Active"), "active"),
    ("succeeded", said!("Done"), "succeeded"),
    ("failed", said!("Failed"), "failed"),
    ("cancelled", said!("Cancelled"), "cancelled,expired"),
];

/// The form as typed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    pub(in crate::pages) state: String,
    pub(in crate::pages) q: String,
    pub(in crate::pages) tool: String,
    pub(in crate::pages) server: String,
    pub(in crate::pages) render_type: String,
    pub(in crate::pages) style: String,
    pub(in crate::pages) caller: String,
    /// First day, `2026-11-21`.
    pub(in crate::pages) from: String,
    /// Last day, inclusive.
    pub(in crate::pages) to: String,
    pub(in crate::pages) cursor: String,
    #[serde(skip_serializing)]
    pub(in crate::pages) done: Option<String>,
    /// Number of the change that is told, where it can be taken back.
    #[serde(skip_serializing)]
    pub(in crate::pages) undo: Option<u64>,
}

/// What can be chosen in the form, each with what is chosen.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Choices {
    tools: Vec<Choice>,
    servers: Vec<Choice>,
    render_types: Vec<Choice>,
    styles: Vec<Choice>,
}

/// An entry of a choice.
#[derive(Debug, Serialize)]
struct Choice {
    name: String,
    title: String,
    chosen: bool,
}

impl Choices {
    /// What the hub has now.
    pub(in crate::pages) fn of(app: &App, typed: &ListQuery) -> Self {
        let same = |name: &str| (name.to_owned(), name.to_owned());
        let servers = app.engine.servers();
        let catalogue = app.engine.catalogue();
        let render_types = catalogue.render_types.iter().map(|row| (row.name.clone(), row.title.clone()));
        Self {
            tools: tools(&typed.tool),
            servers: choices(servers.iter().map(|view| same(&view.server.name)), &typed.server),
            render_types: choices(render_types, &typed.render_type),
            styles: choices(catalogue.styles.iter().map(|row| same(&row.name)), &typed.style),
        }
    }

    /// What is chosen is gone from the hub, and what remains of it is a caller's text.
    #[cfg(test)]
    pub(in crate::pages) fn sample() -> Self {
        let gone = crate::pages::shown::sample::HOSTILE;
        let choice = || choices(std::iter::empty(), gone);
        Self { tools: tools(gone), servers: choice(), render_types: choice(), styles: choice() }
    }
}

impl ListQuery {
    /// An unknown group shows all: a bookmark of an older version must not end in an error.
    pub(in crate::pages) fn group(&self) -> (&'static str, &'static str) {
        GROUPS.iter().find(|(name, ..)| *name == self.state).map_or(("", ""), |(name, _, states)| (*name, *states))
    }

    fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("q", self.q.trim()),
            ("tool", self.tool.trim()),
            ("server", self.server.trim()),
            ("render_type", self.render_type.trim()),
            ("style", self.style.trim()),
            ("caller", self.caller.trim()),
            ("from", self.from.trim()),
            ("to", self.to.trim()),
        ]
    }

    /// Whether more than a group of states was asked for.
    pub(in crate::pages) fn is_narrowed(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.is_empty())
    }

    /// The filters as a query string, without the place in the list.
    pub(in crate::pages) fn query(&self, group: &str) -> String {
        self.query_at(group, "")
    }

    pub(in crate::pages) fn query_at(&self, group: &str, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("state", group)].into_iter().chain(self.fields()).chain([("cursor", cursor)]) {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// Address of `base` with the same filters, another group of states and place.
    pub(in crate::pages) fn path(&self, base: &str, group: &str, cursor: &str) -> String {
        let query = self.query_at(group, cursor);
        if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
    }

    /// The filter it stands for.
    ///
    /// # Errors
    /// `bad_argument` naming the field of the form.
    pub(in crate::pages) async fn filter(&self, app: &App) -> Result<JobFilter, WebError> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        let (from, to) = (day("from", &self.from)?, day("to", &self.to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(UserError::argument("to", said!("The last day lies before the first one.")).into());
        }
        let midnight = |day: NaiveDate| format!("{day}T00:00:00Z");
        let body = api::JobFilterBody {
            state: given(self.group().1),
            tool: given(&self.tool),
            server: given(&self.server),
            render_type: given(&self.render_type),
            caller: given(&self.caller),
            created_from: from.map(midnight),
            created_to: to.and_then(|day| day.checked_add_days(Days::new(1))).map(midnight),
            q: given(&self.q),
            style: given(&self.style),
            parent: None,
        };
        body.parse(app).await
    }
}

/// What is wrong with a filter, beside its field; one that is no field of the form stands above it.
pub(in crate::pages) fn fault_of(error: &UserError) -> Fault {
    Fault::of(error).elsewhere(&ListQuery::default().fields().map(|(name, _)| name))
}

fn day(field: &str, text: &str) -> Result<Option<NaiveDate>, UserError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Some).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        UserError::argument(field, said!("`{shown}` is no day.", shown)).with_hint(said!("Write it like 2026-11-21."))
    })
}

/// States of a group, for counting.
pub(in crate::pages) fn states(group: &str) -> Vec<JobStateKind> {
    let known = GROUPS.iter().find(|(name, ..)| *name == group);
    known.and_then(|(_, _, states)| api::parse_states(states).ok()).unwrap_or_default()
}

/// Choices with what is chosen, which may be gone from the hub.
fn choices(known: impl Iterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    let mut choices: Vec<Choice> = known.map(|(name, title)| Choice { chosen: name == chosen, name, title }).collect();
    if !chosen.is_empty() && !choices.iter().any(|choice| choice.chosen) {
        choices.push(Choice { name: chosen.to_owned(), title: chosen.to_owned(), chosen: true });
    }
    choices
}

/// Tools that make jobs.
fn tools(chosen: &str) -> Vec<Choice> {
    choices(JOB_TOOLS.iter().map(|tool| ((*tool).to_owned(), tool_title(tool).to_string())), chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stay_on_the_way_through_groups_and_pages() {
        let query = ListQuery { q: " a fox & hen ".to_owned(), from: "2026-11-21".to_owned(), ..ListQuery::default() };
        assert_eq!(
            query.path("/jobs", "failed", "7.x"),
            "/jobs?state=failed&q=a+fox+%26+hen&from=2026-11-21&cursor=7.x"
        );
        assert!(query.is_narrowed() && !ListQuery::default().is_narrowed());
        assert_eq!(ListQuery::default().path("/jobs", "", ""), "/jobs");
    }

    #[test]
    fn every_group_has_states_that_the_api_knows() {
        for (name, _, text) in GROUPS {
            assert_eq!(states(name).is_empty(), text.is_empty(), "{name}");
        }
        assert_eq!(ListQuery { state: "gone".to_owned(), ..ListQuery::default() }.group(), ("", ""));
    }

    #[test]
    fn a_day_that_is_none_is_told_by_its_field() {
        assert_eq!(day("from", " ").expect("left out"), None);
        assert_eq!(day("to", "21.11.2026").expect_err("no day").argument.as_deref(), Some("to"));
        assert_eq!(fault_of(&UserError::argument("to", "x")).field, "to");
        assert_eq!(fault_of(&UserError::argument("created_to", "x")).field, "");
    }
}
