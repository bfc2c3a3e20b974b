//! The rows of a workflow's slots: as they are stored, as they are typed, and what is wrong with each.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::{catalogue::Workflow, error::UserError};
use hub_engine::{NodeView, SlotView};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        form::{Fault, Sent, refused},
        see_other,
    },
    detail, picking, slot_title,
};
use crate::{audit::NothingDone, error::WebError, language::Said, lookup, router::App, said};

/// One slot in one place.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) target: String,
    /// How it was found, in a word; empty while it is being typed.
    source: Option<Said>,
    tone: &'static str,
    /// How sure that is, in a word.
    sure: Option<Said>,
    /// Why it cannot be there.
    fault: Option<String>,
}

/// The slots as a person chose them: lists of the same length.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    kind: Vec<String>,
    #[serde(default)]
    target: Vec<String>,
    /// The row, from 1 on, whose place is to be picked in the drawing instead of saving.
    #[serde(default)]
    pick: String,
}

impl Chosen {
    /// Each row as typed, with its number on the page. Rows without a place are left out: that is how one is
    /// removed. The one that is being picked for stays.
    fn rows(&self) -> Vec<(usize, Row)> {
        let given = self.kind.iter().zip(&self.target).enumerate().map(|(index, row)| (index + 1, row));
        given
            .filter(|(number, (_, target))| !target.trim().is_empty() || self.pick == number.to_string())
            .map(|(number, (kind, target))| (number, Row::typed(kind.trim(), target)))
            .collect()
    }
}

impl Row {
    pub(super) fn of(slot: &SlotView, target: &str) -> Self {
        let source = match slot.source.as_str() {
            "title" => said!("by its title"),
            "hand" => said!("chosen by hand"),
            "class" => said!("by its class"),
            _ => said!("by its links"),
        };
        let (sure, tone) = match slot.confidence.as_str() {
            "certain" => (said!("sure"), "good"),
            "likely" => (said!("likely"), "info"),
            _ => (said!("look at it"), "wait"),
        };
        Self { source: Some(source), tone, sure: Some(sure), ..Self::typed(&slot.kind, target) }
    }

    pub(super) fn typed(kind: &str, target: &str) -> Self {
        Self {
            title: slot_title(kind),
            kind: kind.to_owned(),
            target: target.to_owned(),
            source: None,
            tone: "off",
            sure: None,
            fault: None,
        }
    }

    /// Whether it is the same slot in the same place.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.target) == (&other.kind, &other.target)
    }

    /// The address in what was typed: `6.text` of `6.text — a red fox`. Names of inputs may hold blanks: the longest of
    /// the `known` places that it begins with is meant, and only where there is none the first word.
    fn place(&self, known: &[String]) -> &str {
        let typed = self.target.trim();
        let is_begin = |place: &&String| {
            let rest = typed.strip_prefix(place.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        match known.iter().filter(is_begin).max_by_key(|place| place.len()) {
            Some(place) => &typed[..place.len()],
            None => typed.split_whitespace().next().unwrap_or_default(),
        }
    }

    fn check(&self, app: &App, workflow: &Workflow, known: &[String]) -> Option<String> {
        let place = self.place(known);
        if self.kind.is_empty() {
            return Some(said!("`{place}` has no kind: choose what the hub shall put there.", place));
        }
        app.engine.slot_check(workflow, &self.kind, place).err().map(|error| error.explain())
    }
}

/// Every place of a graph: `node.input`, and the node alone.
fn known_places(nodes: &[NodeView]) -> Vec<String> {
    let of_node = |node: &NodeView| {
        let inputs = node.inputs.iter().map(|input| format!("{}.{}", node.id, input.name));
        inputs.chain([node.id.clone()]).collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of_node).collect()
}

/// The rows of stored slots, one for each place.
pub(super) fn stored(slots: &[SlotView]) -> Vec<Row> {
    slots.iter().flat_map(|slot| slot.targets.iter().map(|target| Row::of(slot, target))).collect()
}

/// Saves the rows as a new version, or leads to the drawing where the place of one is picked.
pub(crate) async fn choose(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(chosen): Sent<Chosen>,
) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let rows = chosen.rows();
    let picked = rows.iter().position(|(number, _)| chosen.pick == number.to_string());
    let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    if let Some(index) = picked {
        if rows[index].kind.is_empty() {
            rows[index].fault = Some(said!("Choose what the hub shall put there, then pick the place.").to_string());
            return faulty(&app, workflow, rows).await;
        }
        let mut response = see_other(&picking::address(workflow.id, &rows, &[("pick", &(index + 1).to_string())]));
        response.extensions_mut().insert(NothingDone);
        return Ok(response);
    }
    let known = known_places(&app.engine.workflow_nodes(&workflow));
    for row in &mut rows {
        row.fault = row.check(&app, &workflow, &known);
    }
    if rows.iter().any(|row| row.fault.is_some()) {
        return faulty(&app, workflow, rows).await;
    }
    let pairs: Vec<_> = rows.iter().map(|row| (row.kind.clone(), row.place(&known).to_owned())).collect();
    match app.engine.workflow_choose_slots(workflow.id, &pairs).await {
        Ok(stored) => Ok(see_other(&format!("/workflows/{}?done=workflow-slots", stored.workflow.id))),
        Err(error) => {
            let mut page = detail::page(&app, workflow).await?;
            page.show_rows(rows);
            page.fault = Some(Fault::of(&error).elsewhere(&[]));
            refused(&app, &error, &page)
        }
    }
}

/// The page with each row's fault beside it.
async fn faulty(app: &App, workflow: Workflow, rows: Vec<Row>) -> Result<Response, WebError> {
    let at = rows.iter().position(|row| row.fault.is_some()).unwrap_or_default();
    let text = rows.get(at).and_then(|row| row.fault.clone()).unwrap_or_default();
    let field = format!("target-{}", at + 1);
    let error = UserError::argument(&field, text.clone());
    let mut page = detail::page(app, workflow).await?;
    page.show_rows(rows);
    page.fault = Some(Fault { field, text, changed: false });
    refused(app, &error, &page)
}

#[cfg(test)]
impl Row {
    /// A row that cannot be where it is.
    pub(super) fn sample(text: &str) -> Self {
        Self { fault: Some(text.to_owned()), ..Self::typed(text, text) }
    }
}

#[cfg(test)]
mod tests {
    use hub_engine::{InputHolds, InputView};

    use super::*;

    #[test]
    fn a_row_without_a_place_is_one_that_is_removed_unless_it_is_picked_for() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let rows = |pick: &str| {
            let (kind, target) = (list(&["prompt", "seed", ""]), list(&["6.text fox", " ", ""]));
            let rows = Chosen { kind, target, pick: pick.to_owned() }.rows();
            rows.into_iter().map(|(number, row)| (number, row.kind, row.target)).collect::<Vec<_>>()
        };
        let prompt = (1, "prompt".to_owned(), "6.text fox".to_owned());
        assert_eq!(rows(""), std::slice::from_ref(&prompt));
        assert_eq!(rows("2"), [prompt, (2, "seed".to_owned(), " ".to_owned())]);
    }

    #[test]
    fn a_place_is_cut_where_its_name_ends_though_that_holds_blanks() {
        let input = |name: &str| InputView { name: name.to_owned(), holds: InputHolds::Value("1".to_owned()) };
        let inputs = vec![input("text"), input("number"), input("number of images")];
        let node = NodeView { id: "12".to_owned(), class: "Node".to_owned(), title: None, inputs };
        let known = known_places(&[node]);
        for (typed, place) in [
            ("12.number of images", "12.number of images"),
            (" 12.number of images — 4 ", "12.number of images"),
            ("12.number of anything", "12.number"),
            ("12.number ofimages", "12.number"),
            ("12.text — a red fox", "12.text"),
            ("12 — Save", "12"),
            ("6.text fox", "6.text"),
            ("", ""),
        ] {
            assert_eq!(Row::typed("prompt", typed).place(&known), place, "{typed}");
        }
    }
}
