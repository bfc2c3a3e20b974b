//! What a run costs beside its steps: loading models, and how quick the server is.

use std::time::Duration;

use super::{Run, Stop};
use crate::{comfyui::graph, script::Fault};

impl Run<'_> {
    /// Pays for loading when another set of files is in memory.
    pub(super) async fn load_models(&mut self) -> Result<(), Stop> {
        if std::mem::replace(&mut self.loaded, true) {
            return Ok(());
        }
        let wanted = graph::model_files(self.job.graph(), &self.sim.catalogue);
        if wanted.is_empty() || self.sim.state().resident == wanted {
            return Ok(());
        }
        let pause = self.scaled(self.sim.config.load_ms, 1.0);
        self.wait(pause).await?;
        self.due += pause;
        let swapped = {
            let mut state = self.sim.state();
            !std::mem::replace(&mut state.resident, wanted).is_empty()
        };
        self.sim.hold();
        self.sim.count(|s| {
            s.model_loads += 1;
            s.model_swaps += u64::from(swapped);
        });
        Ok(())
    }

    /// A time of the configuration as this run takes it: slowed by faults, quickened by the server's speed.
    pub(super) fn scaled(&self, ms: u64, jitter: f64) -> Duration {
        let slow: f64 = self
            .job
            .faults
            .iter()
            .map(|f| if let Fault::Slow { factor } = f { factor.max(0.0) } else { 1.0 })
            .product();
        let speed = if self.sim.config.speed > 0.0 { self.sim.config.speed } else { 1.0 };
        Duration::try_from_secs_f64(ms as f64 / 1000.0 * slow * jitter / speed).unwrap_or(Duration::MAX)
    }
}
