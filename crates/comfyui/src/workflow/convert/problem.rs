//! What stands in the way of a conversion, or changes its meaning: always a node and a reason.

use std::fmt;

/// Most nodes named in one message.
const MOST_NAMED: usize = 12;

/// A saved workflow that cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConvertError {
    /// It is not in the editor's format.
    NotUi,
    /// It has nothing that would run: every node is a note, muted or bypassed.
    Empty,
    /// It expands to more than can be handled.
    TooLarge(String),
    /// These nodes cannot be converted.
    Nodes(Vec<NodeProblem>),
}

/// A node and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProblem {
    /// Its id; inside subgraphs with the ids of the nodes around it, `57:8`.
    pub node_id: String,
    /// Its title, where it differs from its class.
    pub title: Option<String>,
    /// Its class.
    pub class: String,
    /// What is the matter.
    pub why: Why,
}

/// Why a node cannot be converted, or what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The server does not have the class.
    NotInstalled,
    /// A group node (the way before subgraphs) that cannot be opened: the file does not define it, or there is
    /// another one inside.
    GroupNode,
    /// An instance of a subgraph that the file does not define.
    NoDefinition,
    /// A subgraph that contains itself.
    ContainsItself,
    /// An input whose link leads back to itself, by way of reroutes or bypassed nodes.
    LinkCycle(String),
    /// Anything else, as the rest of a sentence that starts with the node.
    Other(String),
}

impl NodeProblem {
    /// The problem as a sentence, naming the server whose node list was used: "node 12 (`FooBar`) is not
    /// installed on gpu-1".
    pub fn on(&self, server: &str) -> String {
        match self.why {
            Why::NotInstalled => format!("{self} on {server}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for NodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.node_id)?;
        match &self.title {
            Some(title) => write!(f, " (\"{title}\", `{}`)", self.class)?,
            None => write!(f, " (`{}`)", self.class)?,
        }
        match &self.why {
            Why::NotInstalled => f.write_str(" is not installed"),
            Why::GroupNode => f.write_str(" is a group node: open it in ComfyUI, convert it to nodes, and save again"),
            Why::NoDefinition => f.write_str(" is a subgraph that the file does not contain"),
            Why::ContainsItself => f.write_str(" is a subgraph that contains itself"),
            Why::LinkCycle(input) => write!(f, " has an input `{input}` whose link leads back to itself"),
            Why::Other(why) => write!(f, " {why}"),
        }
    }
}

impl ConvertError {
    /// The error as a sentence, naming the server whose node list was used.
    pub fn on(&self, server: &str) -> String {
        match self {
            Self::Nodes(problems) => list(problems, |problem| problem.on(server)),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUi => f.write_str("this is not a workflow in the editor's format: it has no list of nodes"),
            Self::Empty => f.write_str("this workflow has no node that would run"),
            Self::TooLarge(why) => write!(f, "the workflow is too large: {why}"),
            Self::Nodes(problems) => f.write_str(&list(problems, NodeProblem::to_string)),
        }
    }
}

impl std::error::Error for ConvertError {}

fn list(problems: &[NodeProblem], say: impl Fn(&NodeProblem) -> String) -> String {
    let mut text: Vec<String> = problems.iter().take(MOST_NAMED).map(say).collect();
    if problems.len() > MOST_NAMED {
        text.push(format!("and {} more", problems.len() - MOST_NAMED));
    }
    text.join("; ")
}
