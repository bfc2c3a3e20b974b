//! What a server told about itself, and what the newest answers showed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::foreign::ForeignWatch;
use crate::{DeviceView, ServerInfo};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) info: Option<ServerInfo>,
    /// It keeps us as a guest.
    pub(super) guest: bool,
    pub(super) queue_remaining: Option<u32>,
    pub(super) foreign: ForeignWatch,
    pub(super) latency: Option<Duration>,
    /// When it last answered.
    pub(super) answered_at: Option<DateTime<Utc>>,
    /// Model files of the newest job that it ran for us.
    pub(super) loaded: Vec<String>,
    /// Number of the newest prompt that it took.
    pub(super) newest_number: Option<f64>,
}

impl Seen {
    /// The queue's length was told, while `own` prompts of ours were there.
    pub(super) fn queue(&mut self, remaining: u32, own: u32, now: Instant) {
        self.queue_remaining = Some(remaining);
        self.foreign.saw(remaining, own, now);
    }

    /// The process is another one.
    pub(super) fn restarted(&mut self) {
        self.loaded.clear();
        self.newest_number = None;
        self.foreign.restarted();
    }

    /// What a person should know although the server works.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.guest {
            warnings.push(GUEST.to_owned());
        }
        warnings
    }
}

/// What guest mode means.
pub(super) const GUEST: &str = "it keeps the hub as a guest: prompts run, but cancelling and freeing memory are \
                                answered and not done, so cancelled jobs run to their end; give the token of a user";

impl From<comfyui::SystemStats> for ServerInfo {
    fn from(stats: comfyui::SystemStats) -> Self {
        let comfyui::SystemStats { system, devices } = stats;
        Self {
            version: system.comfyui_version,
            os: system.os,
            python: system.python_version,
            pytorch: system.pytorch_version,
            ram_total_bytes: system.ram_total,
            ram_free_bytes: system.ram_free,
            flags: system.flags,
            devices: devices
                .into_iter()
                .map(|device| DeviceView {
                    name: device.name,
                    kind: device.kind,
                    vram_total_bytes: device.vram_total,
                    vram_free_bytes: device.vram_free,
                })
                .collect(),
        }
    }
}
