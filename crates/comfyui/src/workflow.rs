//! Workflows in API format: reading, understanding, filling in.
//!
//! A line of pure functions: [`format::find`] gets at the workflow in what a person uploads,
//! [`convert::to_api`] makes a [`Graph`] of it where it is in the editor's format,
//! [`slots::detect`] finds the inputs worth setting, [`bind::bind`] writes values into a copy, and
//! [`files`] lists what a server must have to run it. Nothing here talks to a server.

pub mod bind;
pub mod convert;
pub mod files;
pub mod format;
pub mod graph;
pub mod slots;

pub use bind::{BindError, Bindings, Bound, bind};
pub use convert::{ConvertError, Converted, NodeProblem, Why, to_api};
pub use files::{ModelFile, model_files, node_classes};
pub use format::{Found, Source, Unwrapped, detect_and_unwrap};
pub use graph::{Graph, Link, Node, node_order};
pub use slots::{Slot, SlotKind, Slots, Target};

/// A workflow that cannot be used. The text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowError {
    /// Not JSON.
    #[error("this is not valid JSON: {message} (line {line}, column {column})")]
    Json {
        /// What the parser expected.
        message: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The editor's own format.
    #[error("this is a workflow in the editor's format; open it in ComfyUI and export it with \"File > Export (API)\"")]
    UiFormat,
    /// JSON, but no workflow.
    #[error("this is not a ComfyUI workflow: {0}")]
    NotAWorkflow(String),
    /// A picture without a workflow in it.
    #[error("this picture does not carry a workflow: {0}")]
    NoMetadata(String),
    /// A node that cannot be read.
    #[error("node {node_id} {problem}")]
    Node {
        /// Its id.
        node_id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Larger than this crate handles.
    #[error("the workflow is too large: {0}")]
    TooLarge(String),
}
