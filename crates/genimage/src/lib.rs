//! The binary's parts: command line, configuration, wiring, life cycle.
//!
//! Owns how the crates are put together and nothing of what they decide. A library beside the binary
//! so that tests start the same hub in their own process.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
mod data_dir;
mod demo;
mod guard;
mod half_written;
mod held;
mod http;
pub mod lifecycle;
mod listen;
mod protected_resource;
mod secret_keys;
mod seed_files;
mod telemetry;
mod traces;
