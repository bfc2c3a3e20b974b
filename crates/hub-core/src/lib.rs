//! The nouns of the hub: ids, requests, recipes, jobs, servers, the catalogue and its errors.
//!
//! Owns meaning and rules that need no I/O. It never touches a socket, a database, a file or the
//! clock of the machine (the clock is a trait here, and an argument everywhere else). Every other
//! crate of the hub speaks in these types; none of them is a wire or a table shape.

pub mod access;
pub mod artifact;
pub mod caller;
pub mod catalogue;
pub mod clock;
pub mod error;
pub mod faults;
pub mod ids;
pub mod job;
pub mod limits;
pub mod parts;
pub mod placement;
pub mod recipe;
pub mod request;
pub mod server;
pub mod suggest;
pub mod trace;
