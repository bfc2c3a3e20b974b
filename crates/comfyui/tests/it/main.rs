//! Behaviour of the client against recorded transcripts and small servers.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod binding;
mod client;
mod events;
mod exchanges;
mod fixtures;
mod formats;
mod inspect;
mod recordings;
mod rejections;
mod saved;
mod sequences;
mod server;
mod shipped;
mod slots;
mod socket;
mod tls;
