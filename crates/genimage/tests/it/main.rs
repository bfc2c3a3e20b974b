//! The binary as its users meet it: started, called, killed, asked.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod commands;
mod crash;
mod hub;
mod refusals;
