//! The client against a server that answers from a script, in both dialects, over real sockets.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod native;
mod openai;
mod server;
