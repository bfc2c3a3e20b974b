//! The store's behaviour on real SQLite files and on a real PostgreSQL, the same suite on both.
//!
//! PostgreSQL is looked for at `GENIMAGE_TEST_POSTGRES_URL` (default
//! `postgres://postgres@127.0.0.1:5432/postgres`). Where none answers its half is skipped with a line
//! saying so, or fails when `CI` is `true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs fails there")]

mod bed;

mod access;
mod answering;
mod artifacts;
mod catalogue;
mod configuration;
mod cut;
mod deletion;
mod jobs;
mod learned_times;
mod lists;
mod machine;
mod opening;
mod parts;
mod races;
mod retention;
mod samples;
mod secrets;
mod servers;
mod showcases;
mod snapshot;
mod statistics;
mod transitions;
mod upgrade;
