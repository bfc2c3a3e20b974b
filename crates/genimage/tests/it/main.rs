//! The binary as its users meet it: started, called, killed, asked.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod backup;
mod bad_input;
mod bed;
mod browser;
mod chaos;
mod commands;
mod configuration;
mod connecting;
mod crash;
#[cfg(debug_assertions)]
mod crash_points;
mod data;
mod doors;
mod full_disk;
mod health;
mod hub;
mod import_legacy;
mod large_answers;
mod oauth;
mod probe_scenarios;
mod read_only;
mod refusals;
mod results;
mod secrets;
mod stopping;
mod stored_damage;
#[cfg(debug_assertions)]
mod taken_back;
mod traces;
mod unheard;
mod watching;
