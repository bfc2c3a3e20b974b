//! Moving averages, per server.

use crate::{ModelSet, Seconds};

/// Weight of the newest observation once there are some.
const NEWEST: f64 = 0.25;
/// Observations after which one that is off by more than [`OUTLIER`] counts as if off by just that.
const STEADY: u32 = 3;
const OUTLIER: f64 = 4.0;

/// A moving average.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ewma {
    pub(super) value: f64,
    pub(super) samples: u32,
}

impl Ewma {
    pub(super) fn push(&mut self, seen: f64) {
        let seen = if self.samples >= STEADY {
            seen.clamp(self.value / OUTLIER, self.value * OUTLIER + f64::EPSILON)
        } else {
            seen
        };
        self.samples = self.samples.saturating_add(1);
        self.value += (seen - self.value) * NEWEST.max(1.0 / f64::from(self.samples));
    }

    pub(super) fn get(&self) -> Option<f64> {
        (self.samples > 0).then_some(self.value)
    }
}

/// Per server, by slot.
pub(super) type BySlot = Vec<Ewma>;

/// Run times of one class.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassTimes {
    /// What a server of speed 1 takes.
    pub(super) base: Ewma,
    pub(super) runs: BySlot,
    /// The least of them: decisions ask for it more often than it changes.
    pub(super) least_run: Option<Seconds>,
    /// Whole times of cold runs, of which the share of the load is not known yet.
    pub(super) cold: Vec<(usize, ModelSet, Seconds)>,
}

impl ClassTimes {
    pub(super) fn run(&mut self, slot: usize, seconds: Seconds) {
        grown(&mut self.runs, slot).push(seconds);
        self.sum_up();
    }

    /// Puts back what was kept; [`Self::sum_up`] follows.
    pub(super) fn put_run(&mut self, slot: usize, run: Ewma) {
        *grown(&mut self.runs, slot) = run;
    }

    pub(super) fn sum_up(&mut self) {
        self.least_run = least(&self.runs);
    }
}

/// Load times of one set of models.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadTimes {
    pub(super) by_slot: BySlot,
    /// Their mean and the least of them, likewise.
    pub(super) usual: Option<Seconds>,
    pub(super) least: Option<Seconds>,
}

impl LoadTimes {
    pub(super) fn push(&mut self, slot: usize, seconds: Seconds) {
        grown(&mut self.by_slot, slot).push(seconds);
        self.sum_up();
    }

    /// Puts back what was kept; [`Self::sum_up`] follows.
    pub(super) fn put(&mut self, slot: usize, load: Ewma) {
        *grown(&mut self.by_slot, slot) = load;
    }

    pub(super) fn sum_up(&mut self) {
        self.usual = mean(&self.by_slot);
        self.least = least(&self.by_slot);
    }
}

fn grown(times: &mut BySlot, slot: usize) -> &mut Ewma {
    if times.len() <= slot {
        times.resize(slot + 1, Ewma::default());
    }
    &mut times[slot]
}

fn least(times: &[Ewma]) -> Option<Seconds> {
    times.iter().filter_map(Ewma::get).reduce(f64::min)
}

fn mean<'e>(times: impl IntoIterator<Item = &'e Ewma>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in times.into_iter().filter_map(Ewma::get) {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}
