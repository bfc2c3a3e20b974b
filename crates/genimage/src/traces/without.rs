//! A hub that was built without OpenTelemetry.

use anyhow::bail;
use axum::Router;
use hub_engine::Engine;

use crate::config::TracesSection;

/// There are none.
#[derive(Debug)]
pub(crate) enum Traces {}

impl Traces {
    /// # Errors
    /// When the configuration asks for traces.
    pub(crate) fn start(section: &TracesSection) -> anyhow::Result<Option<Self>> {
        if section.otlp_url.is_empty() {
            return Ok(None);
        }
        bail!(
            "traces.otlp_url is set, but this genimage was built without OpenTelemetry; build it with \
             `--features otel`, or leave traces.otlp_url empty"
        )
    }

    pub(crate) fn follow_jobs(&self, _: &Engine) {
        match *self {}
    }

    pub(crate) fn around(&self, _: Router) -> Router {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as it is where there are traces")]
    pub(crate) async fn settle(&self) {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as it is where there are traces")]
    pub(crate) async fn deliver(self) {
        match self {}
    }
}
