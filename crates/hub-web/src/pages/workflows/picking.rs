//! Picking a slot's place in the drawing: what the address asks for, and where the links of the nodes lead.
//!
//! Everything is in the address, so that it works without script and the rows that were typed stay: `pick` is the
//! row whose place is picked, or a kind for a new row; `at` is the place that was picked; `node` shows one node.

use std::collections::HashMap;

use hub_core::ids::WorkflowId;
use hub_engine::{InputHolds, NodeView};
use serde::{Deserialize, Serialize};

use super::{
    super::shown::shorten,
    drawing::{self, Drawing, Mark},
    slot_title,
    slots::Row,
};
use crate::{language::apart, said};

/// Longest value in the list of inputs, in characters.
pub(super) const VALUE_SHOWN_CHARS: usize = 60;

/// What the address of a workflow's page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// Which test run to show.
    pub(super) run: Option<String>,
    pick: String,
    at: String,
    node: String,
    kind: Vec<String>,
    target: Vec<String>,
}

/// A slot whose place is being picked.
#[derive(Debug, Serialize)]
pub(super) struct Picking {
    pub(super) title: String,
    /// How many places there are to pick from.
    places: usize,
    /// The page without picking.
    cancel: String,
}

/// One node in full: its inputs, and the slots that each could be.
#[derive(Debug, Serialize)]
pub(super) struct Panel {
    id: String,
    title: String,
    class: String,
    inputs: Vec<PanelInput>,
    close: String,
}

#[derive(Debug, Serialize)]
struct PanelInput {
    name: String,
    value: String,
    /// The node that it takes its value from.
    source: Option<String>,
    source_path: Option<String>,
    /// Slots that it is.
    is: Vec<String>,
    /// Slots that it could be.
    uses: Vec<Use>,
}

#[derive(Debug, Serialize)]
struct Use {
    title: String,
    /// The place that such a slot has now.
    instead: Option<String>,
    path: String,
}

/// A page's slots, drawing and choice, as the address asks for them.
pub(super) struct View {
    pub(super) rows: Vec<Row>,
    /// Number of the row that was just given a place, which is not saved.
    pub(super) given: Option<usize>,
    pub(super) drawing: Drawing,
    pub(super) picking: Option<Picking>,
    pub(super) panel: Option<Panel>,
}

/// What a view is made of.
pub(super) struct Graph<'a> {
    pub(super) id: WorkflowId,
    pub(super) nodes: &'a [NodeView],
    /// As stored.
    pub(super) rows: Vec<Row>,
    /// The places that each kind of slot could have.
    pub(super) places: &'a [(String, Vec<String>)],
    /// Only the newest version can be corrected.
    pub(super) is_newest: bool,
}

/// Address of a workflow's page with these rows, which are not saved, and more.
pub(super) fn address(id: WorkflowId, rows: &[Row], more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
    for row in rows {
        query.append_pair("kind", &row.kind).append_pair("target", &row.target);
    }
    let query = query.finish();
    let anchor = match more.first() {
        Some(&("pick", _)) if more.len() == 1 => "#graph",
        Some(&("pick", _)) => "#slots",
        Some(&("node", _)) => "#node",
        _ => "",
    };
    format!("/workflows/{id}{}{query}{anchor}", if query.is_empty() { "" } else { "?" })
}

impl Asked {
    /// The page's parts for a graph.
    pub(super) fn view(&self, graph: &Graph<'_>) -> View {
        let (rows, given) = self.rows(graph);
        let links = Links { unsaved: if self.is_typed() || given.is_some() { &rows } else { &[] }, graph };
        let picked = given.is_none().then(|| self.picked(&rows, graph)).flatten();
        let marks = slot_marks(&rows);
        let drawing = match picked {
            Some((kind, current)) => links.drawing_of_places(&self.pick, kind, current, marks),
            None => drawing::draw(graph.nodes, &marks, |node| Some(links.node(&node.id))),
        };
        View {
            picking: picked.map(|(kind, _)| Picking {
                title: slot_title(kind),
                places: places_of(graph.places, kind).len(),
                cancel: links.plain(),
            }),
            panel: graph.nodes.iter().find(|node| node.id == self.node).map(|node| links.panel(node, &rows)),
            drawing,
            given,
            rows: rows.clone(),
        }
    }

    /// Whether the address carries rows.
    fn is_typed(&self) -> bool {
        !self.kind.is_empty()
    }

    /// The rows, with the place that was picked; and the number of the row that got it.
    fn rows(&self, graph: &Graph<'_>) -> (Vec<Row>, Option<usize>) {
        let stored = &graph.rows;
        let known = |row: Row| stored.iter().find(|known| known.is(&row)).cloned().unwrap_or(row);
        let mut rows: Vec<Row> = if self.is_typed() {
            self.kind.iter().zip(&self.target).map(|(kind, target)| known(Row::typed(kind, target))).collect()
        } else {
            stored.clone()
        };
        if self.at.is_empty() || !graph.is_newest {
            return (rows, None);
        }
        let given = match self.row_number(rows.len()) {
            Some(number) => {
                rows[number - 1] = known(Row::typed(&rows[number - 1].kind, &self.at));
                number
            }
            None if graph.places.iter().any(|(kind, _)| *kind == self.pick) => {
                rows.push(Row::typed(&self.pick, &self.at));
                rows.len()
            }
            None => return (rows, None),
        };
        (rows, Some(given))
    }

    fn row_number(&self, rows: usize) -> Option<usize> {
        self.pick.parse().ok().filter(|number| (1..=rows).contains(number))
    }

    /// The kind whose place is being picked, and the place it has.
    fn picked<'a>(&self, rows: &'a [Row], graph: &Graph<'a>) -> Option<(&'a str, &'a str)> {
        if !graph.is_newest {
            return None;
        }
        match self.row_number(rows.len()) {
            Some(number) => Some((&rows[number - 1].kind, &rows[number - 1].target)),
            None => graph.places.iter().find(|(kind, _)| *kind == self.pick).map(|(kind, _)| (kind.as_str(), "")),
        }
    }
}

/// Where the links of the drawing lead.
struct Links<'a> {
    /// Rows that are not saved, which every address carries on.
    unsaved: &'a [Row],
    graph: &'a Graph<'a>,
}

impl Links<'_> {
    fn plain(&self) -> String {
        address(self.graph.id, self.unsaved, &[])
    }

    fn node(&self, id: &str) -> String {
        address(self.graph.id, self.unsaved, &[("node", id)])
    }

    fn give(&self, pick: &str, place: &str) -> String {
        address(self.graph.id, self.unsaved, &[("pick", pick), ("at", place)])
    }

    /// The drawing with each place that fits as a link that takes it.
    fn drawing_of_places(
        &self,
        pick: &str,
        kind: &str,
        current: &str,
        mut marks: HashMap<String, Vec<Mark>>,
    ) -> Drawing {
        let title = slot_title(kind);
        for place in places_of(self.graph.places, kind) {
            let (node, input) = place.split_once('.').unwrap_or((place, ""));
            let text = if input.is_empty() { said!("this node").to_string() } else { input.to_owned() };
            marks.entry(node.to_owned()).or_default().push(Mark {
                text: if place == current { format!("● {text}") } else { format!("○ {text}") },
                path: Some(self.give(pick, place)),
                label: said!("Use {place} for {slot}", place, slot = title),
            });
        }
        drawing::draw(self.graph.nodes, &marks, |_| None)
    }

    fn panel(&self, node: &NodeView, rows: &[Row]) -> Panel {
        let titles: HashMap<&str, &str> =
            self.graph.nodes.iter().map(|node| (node.id.as_str(), title_of(node))).collect();
        let inputs = node.inputs.iter().map(|input| {
            let place = format!("{}.{}", node.id, input.name);
            let (value, source) = match &input.holds {
                InputHolds::Value(value) => (shorten(value, VALUE_SHOWN_CHARS), None),
                InputHolds::Link(from) => (String::new(), Some(from)),
            };
            let is = rows.iter().filter(|row| row.target == place).map(|row| row.title.clone());
            PanelInput {
                name: input.name.clone(),
                value,
                source: source.map(|id| {
                    let title = titles.get(id.as_str()).copied().unwrap_or_default();
                    format!("{id} · {}", apart::apart(title))
                }),
                source_path: source.map(|id| self.node(id)),
                is: is.collect(),
                uses: if self.graph.is_newest { self.uses(&place, rows) } else { Vec::new() },
            }
        });
        Panel {
            id: node.id.clone(),
            title: title_of(node).to_owned(),
            class: node.class.clone(),
            inputs: inputs.collect(),
            close: self.plain(),
        }
    }

    /// The slots that could be at a place.
    fn uses(&self, place: &str, rows: &[Row]) -> Vec<Use> {
        let fitting = self.graph.places.iter().filter(|(_, places)| places.iter().any(|known| known == place));
        let uses = fitting.filter(|(kind, _)| !rows.iter().any(|row| row.kind == *kind && row.target == place));
        uses.map(|(kind, _)| {
            let known = rows.iter().position(|row| row.kind == *kind);
            let pick = known.map_or_else(|| kind.clone(), |index| (index + 1).to_string());
            Use {
                title: slot_title(kind),
                instead: known.map(|index| rows[index].target.clone()),
                path: self.give(&pick, place),
            }
        })
        .collect()
    }
}

pub(super) fn title_of(node: &NodeView) -> &str {
    node.title.as_deref().unwrap_or(&node.class)
}

/// The places that fit a kind.
pub(super) fn places_of<'a>(places: &'a [(String, Vec<String>)], kind: &str) -> &'a [String] {
    places.iter().find(|(known, _)| known == kind).map_or(&[], |(_, places)| places)
}

/// What is in each node, in the order of the rows.
fn slot_marks(rows: &[Row]) -> HashMap<String, Vec<Mark>> {
    let mut marks: HashMap<String, Vec<Mark>> = HashMap::new();
    for row in rows.iter().filter(|row| !row.target.is_empty()) {
        let node = row.target.split_once('.').map_or(row.target.as_str(), |(node, _)| node);
        let mark = Mark { text: row.title.clone(), path: None, label: String::new() };
        marks.entry(node.to_owned()).or_default().push(mark);
    }
    marks
}

#[cfg(test)]
impl View {
    /// A node that is shown and picked for, of which every word is hostile.
    pub(super) fn sample(text: &str, row: Row) -> Self {
        let input = |holds| hub_engine::InputView { name: text.to_owned(), holds };
        let node = NodeView {
            id: "1".to_owned(),
            class: text.to_owned(),
            title: Some(text.to_owned()),
            inputs: vec![input(InputHolds::Value(text.to_owned())), input(InputHolds::Link("1".to_owned()))],
        };
        let place = format!("1.{text}");
        let asked = Asked { pick: "prompt".to_owned(), node: "1".to_owned(), ..Asked::default() };
        let mut view = asked.view(&Graph {
            id: WorkflowId::from_uuid(uuid::Uuid::from_u128(2)),
            nodes: &[node],
            rows: vec![row, Row::sample(text)],
            places: &[("prompt".to_owned(), vec![place])],
            is_newest: true,
        });
        view.given = Some(2);
        view
    }
}

#[cfg(test)]
mod tests {
    use hub_engine::InputView;

    use super::*;

    fn node(id: &str, inputs: &[&str]) -> NodeView {
        let inputs =
            inputs.iter().map(|name| InputView { name: (*name).to_owned(), holds: InputHolds::Value("1".to_owned()) });
        NodeView { id: id.to_owned(), class: "Node".to_owned(), title: None, inputs: inputs.collect() }
    }

    fn view(query: &str, is_newest: bool) -> View {
        let asked: Asked = serde_html_form::from_str(query).expect("a query");
        let places = [
            ("seed".to_owned(), vec!["1.seed".to_owned(), "2.seed".to_owned()]),
            ("prompt".to_owned(), vec!["1.text".to_owned()]),
        ];
        asked.view(&Graph {
            id: WorkflowId::from_uuid(uuid::Uuid::from_u128(2)),
            nodes: &[node("1", &["seed", "text"]), node("2", &["seed"])],
            rows: vec![Row::typed("seed", "1.seed")],
            places: &places,
            is_newest,
        })
    }

    #[test]
    fn a_place_that_is_picked_goes_into_its_row_and_the_others_stay() {
        let places =
            |view: &View| view.rows.iter().map(|row| format!("{} {}", row.kind, row.target)).collect::<Vec<_>>();
        let picking = view("pick=1", true);
        assert_eq!(picking.picking.as_ref().map(|picking| picking.places), Some(2));
        let given = view("pick=1&at=2.seed", true);
        assert_eq!((places(&given), given.given), (vec!["seed 2.seed".to_owned()], Some(1)));
        assert!(given.picking.is_none());
        let added = view("pick=prompt&at=1.text&kind=seed&target=2.seed", true);
        assert_eq!(places(&added), ["seed 2.seed", "prompt 1.text"]);
        for odd in ["pick=7&at=2.seed", "pick=0&at=2.seed", "pick=%F0%9F%A6%8A&at=2.seed", "pick=1&at=2.seed"] {
            let older = view(odd, !odd.starts_with("pick=1"));
            assert_eq!(places(&older), ["seed 1.seed"], "{odd}");
        }
    }

    #[test]
    fn a_node_tells_what_its_inputs_could_be() {
        let panel = view("node=2", true).panel.expect("a node");
        let [input] = panel.inputs.as_slice() else { panic!("one input") };
        let [used] = input.uses.as_slice() else { panic!("one slot fits") };
        assert_eq!((used.title.as_str(), used.instead.as_deref()), ("Seed", Some("1.seed")));
        assert!(used.path.contains("pick=1&at=2.seed"), "{}", used.path);
        assert!(view("node=9", true).panel.is_none());
    }
}
