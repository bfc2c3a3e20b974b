//! The engine against simulated servers over real sockets, on a real store.

#![expect(clippy::unwrap_used, reason = "tests")]

mod artifacts;
mod cable;
mod cancelling;
mod clock_set;
mod detailing;
mod enhance;
mod exactly_once;
mod failing;
mod fixture;
mod hub;
mod importing;
mod inventory;
mod lease;
mod losing;
mod orphans;
mod prompt_generator;
mod rendering;
mod restarting;
mod scheduling;
mod several;
mod submit;
mod testing;
mod upkeep;
mod variations;
mod watchdogs;
mod watching;
