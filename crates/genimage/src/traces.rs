//! Traces for an OpenTelemetry collector: one span per request of a machine edge, and for each job that ends the
//! spans of its life, as parts of the caller's own trace where it sent one (`traceparent`).
//!
//! A job's spans are written when it ends, from what the database tells of it: so they are whole although the hub
//! was restarted in between, and the engine knows nothing of them. Prompts are never part of a span.
//!
//! Compiled with the feature `otel`. Without it, a configuration that asks for traces is refused.

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod jobs;
#[cfg(feature = "otel")]
mod outline;
#[cfg(feature = "otel")]
mod requests;
#[cfg(not(feature = "otel"))]
mod without;

#[cfg(feature = "otel")]
pub(crate) use self::collector::Traces;
#[cfg(not(feature = "otel"))]
pub(crate) use self::without::Traces;
