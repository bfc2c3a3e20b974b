//! A client for one ComfyUI server, and the tools to understand the workflows it runs.
//!
//! Two halves that only meet at [`workflow::Graph`]:
//!
//! - [`client`], [`events`], [`wire`], [`error`]: talking to a server. HTTP calls make one attempt each and
//!   say precisely what went wrong; retrying, choosing a server and remembering jobs belong to the caller.
//! - [`workflow`]: reading a workflow, finding the inputs a person wants to set, and writing them. Pure
//!   functions over values, no I/O.
//!
//! The crate knows nothing of databases, queues or the people who ask for pictures, and keeps no global state.

pub mod client;
pub mod error;
pub mod events;
pub mod wire;
pub mod workflow;

pub use client::{Auth, Client, ClientConfig, PreviewMethod, Reached, Submission, Timeouts};
pub use error::{Error, ErrorKind, MissingResource, NodeRejection, Rejection, RejectionKind, SubmitError};
pub use events::{Connection, Event, ExecutionError, Follow, Outcome, Phase, is_out_of_memory, missing_model};
pub use wire::{
    Fingerprint, HistoryEntry, HistoryStatus, Inventory, ObjectInfo, OutputFile, Queue, Submitted, SystemStats,
    UploadedImage,
};
pub use workflow::{Bindings, Graph, Slots, WorkflowError};
