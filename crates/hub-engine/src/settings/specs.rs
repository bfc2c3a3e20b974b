//! Every setting that can be changed while the hub runs: its key, meaning, bounds, and its place in the typed
//! configuration. Keys are those of `config/genimage.default.toml`.

use std::time::Duration;

use hub_core::{error::UserError, limits};
use serde_json::{Value, json};
use url::Url;

use crate::EngineConfig;

/// A number's bounds, both valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// A whole number.
    Number(Bounds),
    /// `true` or `false`.
    Switch,
    /// An http(s) URL, or an empty text for none.
    Address,
}

impl Takes {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Switch => "switch",
            Self::Address => "address",
        }
    }
}

/// One setting.
pub(super) struct Spec {
    pub(super) key: &'static str,
    pub(super) explanation: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) takes: Takes,
    pub(super) read: fn(&EngineConfig) -> Value,
    /// Of a value that was checked.
    pub(super) write: fn(&mut EngineConfig, &Value),
}

impl Spec {
    /// Whether a value will do.
    ///
    /// # Errors
    /// `bad_argument` naming the key and what is valid.
    pub(super) fn check(&self, value: &Value) -> Result<(), UserError> {
        let key = self.key;
        match self.takes {
            Takes::Number(Bounds { least, most }) => {
                let fits = value.as_u64().is_some_and(|number| (least..=most).contains(&number));
                let unit = self.unit.map(|unit| format!(" ({unit})")).unwrap_or_default();
                let message = format!("`{key}` must be a whole number from {least} to {most}{unit}.");
                fits.then_some(()).ok_or_else(|| UserError::argument(key, message))
            }
            Takes::Switch if value.is_boolean() => Ok(()),
            Takes::Switch => {
                Err(UserError::argument(key, format!("`{key}` must be true or false.")).with_valid(["true", "false"]))
            }
            Takes::Address => {
                let short = value.as_str().filter(|text| text.len() <= ADDRESS_MAX_BYTES);
                let fits = short.is_some_and(|text| address(text).is_ok());
                let most = format!("of at most {ADDRESS_MAX_BYTES} bytes");
                let message = format!("`{key}` must be an http or https URL {most}, or empty for none.");
                fits.then_some(()).ok_or_else(|| UserError::argument(key, message))
            }
        }
    }
}

const fn number(least: u64, most: u64) -> Takes {
    Takes::Number(Bounds { least, most })
}

/// Longest address.
const ADDRESS_MAX_BYTES: usize = 2048;
const DAY_S: u64 = 86_400;

/// All of them, in the order of the configuration file.
pub(super) const SPECS: &[Spec] = &[
    Spec {
        key: "queue.max",
        explanation: "Jobs that may wait in all; beyond it new ones are refused with the time to wait.",
        unit: Some("jobs"),
        takes: number(1, 1_000_000),
        read: |config| json!(config.queue_max),
        write: |config, value| config.queue_max = count(value),
    },
    Spec {
        key: "queue.max_per_caller",
        explanation: "Jobs that one caller may have waiting.",
        unit: Some("jobs"),
        takes: number(1, 1_000_000),
        read: |config| json!(config.queue_max_per_caller),
        write: |config, value| config.queue_max_per_caller = count(value),
    },
    Spec {
        key: "queue.wait_limit_s",
        explanation: "Longest wait for a server; a job that waited longer expires.",
        unit: Some("seconds"),
        takes: number(1, 365 * DAY_S),
        read: |config| json!(config.queue_wait_limit.as_secs()),
        write: |config, value| config.queue_wait_limit = seconds(value),
    },
    Spec {
        key: "queue.attempts_max",
        explanation: "Attempts that may fail for a server's fault before the job fails.",
        unit: Some("attempts"),
        takes: number(1, 100),
        read: |config| json!(config.attempts_max),
        write: |config, value| config.attempts_max = small(value),
    },
    Spec {
        key: "queue.repeat_window_s",
        explanation: "Time in which an identical call of the same caller finds the first one's job; 0: never.",
        unit: Some("seconds"),
        takes: number(0, DAY_S),
        read: |config| json!(config.repeat_window.as_secs()),
        write: |config, value| config.repeat_window = seconds(value),
    },
    Spec {
        key: "servers.probe_interval_s",
        explanation: "Time between two probes of a server.",
        unit: Some("seconds"),
        takes: number(1, 3600),
        read: |config| json!(config.probe_interval.as_secs()),
        write: |config, value| config.probe_interval = seconds(value),
    },
    Spec {
        key: "servers.poll_interval_s",
        explanation: "Time between two polls of a running prompt, beside the server's event socket.",
        unit: Some("seconds"),
        takes: number(1, 3600),
        read: |config| json!(config.poll_interval.as_secs()),
        write: |config, value| config.poll_interval = seconds(value),
    },
    Spec {
        key: "servers.inventory_interval_s",
        explanation: "Time after which a server's list of nodes and model files is read anew.",
        unit: Some("seconds"),
        takes: number(10, DAY_S),
        read: |config| json!(config.inventory_interval.as_secs()),
        write: |config, value| config.inventory_interval = seconds(value),
    },
    Spec {
        key: "servers.live_previews",
        explanation: "Have servers send pictures of the unfinished work; for jobs that begin from now on.",
        unit: None,
        takes: Takes::Switch,
        read: |config| json!(config.live_previews),
        write: |config, value| config.live_previews = value.as_bool().unwrap_or_default(),
    },
    Spec {
        key: "alerts.webhook_url",
        explanation: "Address to which an alert is posted as JSON; empty: nowhere.",
        unit: None,
        takes: Takes::Address,
        read: |config| json!(config.alerts.webhook_url.as_ref().map(Url::as_str).unwrap_or_default()),
        write: |config, value| {
            config.alerts.webhook_url = value.as_str().and_then(|text| address(text).ok()).flatten();
        },
    },
    Spec {
        key: "alerts.quiet_s",
        explanation: "Time after an alert in which further ones of the same server are held back.",
        unit: Some("seconds"),
        takes: number(0, DAY_S),
        read: |config| json!(config.alerts.quiet.as_secs()),
        write: |config, value| config.alerts.quiet = seconds(value),
    },
    Spec {
        key: "llm.enhance_budget_s",
        explanation: "Longest time for the enhancement of a prompt; beyond it the plain prompt is used.",
        unit: Some("seconds"),
        takes: number(1, 3600),
        read: |config| json!(config.enhance_budget.as_secs()),
        write: |config, value| config.enhance_budget = seconds(value),
    },
    Spec {
        key: "llm.describe_budget_s",
        explanation: "Longest time for a description.",
        unit: Some("seconds"),
        takes: number(1, 3600),
        read: |config| json!(config.describe_budget.as_secs()),
        write: |config, value| config.describe_budget = seconds(value),
    },
    Spec {
        key: "mcp.wait_s",
        explanation: "Time that a tool call waits before it answers with the job's handle.",
        unit: Some("seconds"),
        takes: number(0, limits::WAIT_MAX_S as u64),
        read: |config| json!(config.answers.wait_s),
        write: |config, value| config.answers.wait_s = small(value),
    },
    Spec {
        key: "mcp.preview_max_bytes",
        explanation: "Encoded size of all previews in one answer to an agent; 0: none.",
        unit: Some("bytes"),
        takes: number(0, 10_000_000),
        read: |config| json!(config.answers.preview_max_bytes),
        write: |config, value| config.answers.preview_max_bytes = count(value),
    },
    Spec {
        key: "mcp.preview_max_side_px",
        explanation: "Longest side of a preview in an answer to an agent.",
        unit: Some("pixels"),
        takes: number(16, 1999),
        read: |config| json!(config.answers.preview_max_side_px),
        write: |config, value| config.answers.preview_max_side_px = small(value),
    },
    Spec {
        key: "retention.days",
        explanation: "Time that finished jobs and their pictures are kept, except favourites; 0: for ever.",
        unit: Some("days"),
        takes: number(0, 36_500),
        read: |config| json!(config.retention_days.unwrap_or_default()),
        write: |config, value| config.retention_days = Some(small(value)).filter(|days| *days > 0),
    },
    Spec {
        key: "retention.pictures",
        explanation: "Results that are kept, favourites included; beyond it the oldest jobs go. 0: any number.",
        unit: Some("pictures"),
        takes: number(0, 1_000_000_000),
        read: |config| json!(config.retention_pictures.unwrap_or_default()),
        write: |config, value| config.retention_pictures = Some(small(value)).filter(|pictures| *pictures > 0),
    },
    Spec {
        key: "retention.gb",
        explanation: "Size of all results that is kept, favourites included; beyond it the oldest jobs go. 0: any size.",
        unit: Some("GB"),
        takes: number(0, 1_000_000),
        read: |config| json!(config.retention_gb.unwrap_or_default()),
        write: |config, value| config.retention_gb = Some(small(value)).filter(|gb| *gb > 0),
    },
];

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap_or_default()).unwrap_or(usize::MAX)
}

fn small(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or_default()).unwrap_or(u32::MAX)
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_default())
}

/// An address that may be empty.
fn address(text: &str) -> Result<Option<Url>, ()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).map(Some).ok_or(())
}
