//! The edge as callers meet it, before a real engine with simulated servers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod current_era;
mod dialect;
mod harness;
mod older_eras;
mod plain;
mod prompts;
mod resources;
mod several;
