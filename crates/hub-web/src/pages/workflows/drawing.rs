//! A workflow's graph as a drawing: columns from the loaders on the left to the results on the right.
//!
//! A node stands one column right of the last node it takes something from, and in its column near the
//! mean height of those: a plain layered layout, which is enough for graphs of the sizes people make.

use std::collections::HashMap;

use hub_engine::{InputHolds, NodeView};
use serde::Serialize;

/// Sides of things, in units of the drawing (one is about a pixel).
const NODE_WIDTH: u32 = 216;
const HEAD_HEIGHT: u32 = 40;
const LINE_HEIGHT: u32 = 19;
const COLUMN_GAP: u32 = 56;
const ROW_GAP: u32 = 18;
const MARGIN: u32 = 12;
/// Longest text in a node, in characters: what fits its width.
const TEXT_CHARS: usize = 24;

/// The whole drawing.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Drawing {
    width: u32,
    height: u32,
    nodes: Vec<Placed>,
    links: Vec<String>,
}

/// One node.
#[derive(Debug, PartialEq, Serialize)]
struct Placed {
    id: String,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    title: String,
    class: String,
    /// Where the whole node leads.
    path: Option<String>,
    /// What it holds, with the height of each line.
    lines: Vec<Line>,
    /// Whether any line leads somewhere.
    is_place: bool,
}

/// A line of a node.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    text: String,
    y: u32,
    path: Option<String>,
    label: String,
}

/// What is written into a node.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) text: String,
    /// Where it leads.
    pub(super) path: Option<String>,
    /// What that does, in full.
    pub(super) label: String,
}

/// Draws nodes with what is marked in each, by its id; `path_of` tells where a node leads.
pub(super) fn draw(
    nodes: &[NodeView],
    marks: &HashMap<String, Vec<Mark>>,
    path_of: impl Fn(&NodeView) -> Option<String>,
) -> Drawing {
    let columns = columns_of(nodes);
    let mut placed: HashMap<&str, (u32, u32, u32)> = HashMap::new();
    let mut drawing = Drawing::default();
    let last = columns.values().copied().max().unwrap_or(0);
    for column in 0..=last {
        let mut members: Vec<&NodeView> =
            nodes.iter().filter(|node| columns.get(node.id.as_str()) == Some(&column)).collect();
        // Stable: nodes that take nothing keep the order of the file.
        members.sort_by_key(|node| mean_height(node, &placed));
        let mut y = MARGIN;
        for node in members {
            let lines = marks.get(&node.id).map(Vec::as_slice).unwrap_or_default();
            let x = MARGIN + u32::try_from(column).unwrap_or(u32::MAX) * (NODE_WIDTH + COLUMN_GAP);
            let height = HEAD_HEIGHT
                + LINE_HEIGHT * u32::try_from(lines.len()).unwrap_or(0)
                + if lines.is_empty() { 0 } else { 6 };
            // Never above the things it takes from, where there is room.
            y = y.max(mean_height(node, &placed).saturating_sub(height / 2));
            placed.insert(&node.id, (x, y, height));
            drawing.nodes.push(Placed { path: path_of(node), ..boxed(node, lines, (x, y, height)) });
            drawing.width = drawing.width.max(x + NODE_WIDTH + MARGIN);
            drawing.height = drawing.height.max(y + height + MARGIN);
            y += height + ROW_GAP;
        }
    }
    drawing.links = nodes.iter().flat_map(|node| links_of(node, &placed)).collect();
    drawing
}

fn boxed(node: &NodeView, marks: &[Mark], (x, y, height): (u32, u32, u32)) -> Placed {
    let cut = |text: &str| super::super::shown::shorten(text, TEXT_CHARS);
    let lines = (0u32..).zip(marks).map(|(index, mark)| Line {
        text: cut(&mark.text),
        y: y + HEAD_HEIGHT + LINE_HEIGHT * index + 13,
        path: mark.path.clone(),
        label: mark.label.clone(),
    });
    Placed {
        id: node.id.clone(),
        x,
        y,
        width: NODE_WIDTH,
        height,
        title: cut(node.title.as_deref().unwrap_or(&node.class)),
        class: cut(&format!("{} · {}", node.id, node.class)),
        path: None,
        lines: lines.collect(),
        is_place: marks.iter().any(|mark| mark.path.is_some()),
    }
}

/// Column of each node. Links in circles count once.
fn columns_of(nodes: &[NodeView]) -> HashMap<&str, usize> {
    let mut columns: HashMap<&str, usize> = nodes.iter().map(|node| (node.id.as_str(), 0)).collect();
    // As many rounds as the longest chain; a circle ends with the number of nodes.
    for _ in 0..nodes.len() {
        let mut moved = false;
        for node in nodes {
            let needed = sources(node).filter_map(|id| columns.get(id)).max().map_or(0, |column| column + 1);
            if needed > columns[node.id.as_str()] && needed < nodes.len() {
                columns.insert(&node.id, needed);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    columns
}

fn sources(node: &NodeView) -> impl Iterator<Item = &str> {
    node.inputs.iter().filter_map(|input| match &input.holds {
        InputHolds::Link(id) => Some(id.as_str()),
        InputHolds::Value(_) => None,
    })
}

fn mean_height(node: &NodeView, placed: &HashMap<&str, (u32, u32, u32)>) -> u32 {
    let middles: Vec<u32> =
        sources(node).filter_map(|id| placed.get(id)).map(|(_, y, height)| y + height / 2).collect();
    let count = u32::try_from(middles.len()).unwrap_or(u32::MAX);
    middles.iter().sum::<u32>().checked_div(count).unwrap_or(0)
}

/// A curve for each node that this one takes from.
fn links_of<'a>(node: &'a NodeView, placed: &'a HashMap<&str, (u32, u32, u32)>) -> impl Iterator<Item = String> + 'a {
    let mut from: Vec<&str> = sources(node).collect();
    from.dedup();
    from.into_iter().filter_map(move |id| {
        let (x, y, height) = placed.get(id)?;
        let (to_x, to_y, to_height) = placed.get(node.id.as_str())?;
        let (start_x, start_y) = (x + NODE_WIDTH, y + height / 2);
        let (end_x, end_y) = (*to_x, to_y + to_height / 2);
        let bend = COLUMN_GAP * 2 / 3;
        let back = end_x.saturating_sub(bend);
        Some(format!("M{start_x} {start_y}C{} {start_y} {back} {end_y} {end_x} {end_y}", start_x + bend))
    })
}

#[cfg(test)]
mod tests {
    use hub_engine::InputView;

    use super::*;

    fn node(id: &str, from: &[&str]) -> NodeView {
        let inputs =
            from.iter().map(|id| InputView { name: format!("in_{id}"), holds: InputHolds::Link((*id).to_owned()) });
        NodeView { id: id.to_owned(), class: "Node".to_owned(), title: None, inputs: inputs.collect() }
    }

    #[test]
    fn a_node_stands_right_of_all_it_takes_from_and_none_overlap() {
        let nodes = [node("1", &[]), node("2", &["1"]), node("3", &["1"]), node("4", &["2", "3", "1"]), node("5", &[])];
        let mark = Mark { text: "Prompt".to_owned(), path: None, label: String::new() };
        let drawing = draw(&nodes, &HashMap::from([("2".to_owned(), vec![mark])]), |_| None);
        let at = |id: &str| drawing.nodes.iter().find(|node| node.id == id).expect("drawn");
        assert!(at("1").x < at("2").x && at("2").x < at("4").x && at("2").x == at("3").x);
        assert_eq!(at("2").lines.len(), 1);
        for (index, one) in drawing.nodes.iter().enumerate() {
            for other in &drawing.nodes[index + 1..] {
                let apart = one.x != other.x || one.y + one.height <= other.y || other.y + other.height <= one.y;
                assert!(apart, "{one:?} lies on {other:?}");
            }
            assert!(one.x + one.width <= drawing.width && one.y + one.height <= drawing.height);
        }
        assert_eq!(drawing.links.len(), 5);
    }

    #[test]
    fn circles_and_links_to_nowhere_are_drawn_too() {
        let drawing = draw(&[node("1", &["2"]), node("2", &["1"]), node("3", &["9"])], &HashMap::new(), |_| None);
        assert_eq!(drawing.nodes.len(), 3);
        assert_eq!(draw(&[], &HashMap::new(), |_| None).nodes.len(), 0);
    }
}
