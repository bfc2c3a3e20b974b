//! What an import of configuration changes, as pages show it before and after.

use hub_engine::{ImportAction, ImportReport};
use serde::Serialize;

use crate::{language::Said, said};

/// What an import would do.
#[derive(Debug, Serialize)]
pub(crate) struct ShownReport {
    pub(crate) unchanged: u32,
    pub(crate) changes: Vec<ShownChange>,
    pub(crate) notes: Vec<String>,
}

/// One difference.
#[derive(Debug, Serialize)]
pub(crate) struct ShownChange {
    /// `Styles`, `Servers`, …
    section: String,
    action: Said,
    tone: &'static str,
    name: String,
    fields: Vec<String>,
}

impl ShownReport {
    pub(crate) fn of(report: ImportReport) -> Self {
        let changes = report.changes.into_iter().map(|change| {
            let (action, tone) = match change.action {
                ImportAction::Added => (said!("new"), "good"),
                ImportAction::Changed => (said!("changed"), "info"),
                ImportAction::Removed => (said!("removed"), "bad"),
            };
            ShownChange { section: title(change.section), action, tone, name: change.name, fields: change.fields }
        });
        Self { unchanged: report.unchanged, changes: changes.collect(), notes: report.notes }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let text = || super::sample::HOSTILE.to_owned();
        let change = ShownChange {
            section: "Styles".to_owned(),
            action: said!("changed"),
            tone: "info",
            name: text(),
            fields: vec!["category".to_owned()],
        };
        Self { unchanged: 2, changes: vec![change], notes: vec![text()] }
    }
}

/// `LLM servers` from `llm_servers`.
fn title(section: &str) -> String {
    match section {
        "servers" => said!("Servers").into(),
        "llm_servers" => said!("LLM servers").into(),
        "llm_roles" => said!("LLM roles").into(),
        "workflows" => said!("Workflows").into(),
        "render_types" => said!("Render types").into(),
        "styles" => said!("Styles").into(),
        "settings" => said!("Settings").into(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_named_for_people() {
        assert_eq!(
            (title("llm_servers"), title("render_types")),
            ("LLM servers".to_owned(), "Render types".to_owned())
        );
    }
}
