//! What runs and loads take, learned from attempts.
//!
//! A run's time is kept per (work class, server); where a class never ran on a server, other servers' times
//! and the server's speed against its peers predict it, and where the class never ran at all, other sizes
//! of its workflow do. A run whose models were not resident teaches the load: its time beyond a warm run.

mod times;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub_core::ids::ServerId;

use self::times::{BySlot, ClassTimes, Ewma, LoadTimes};
use crate::{ModelSet, Seconds, WorkClass};

/// Run time where nothing is known at all.
const RUN_GUESS_S: Seconds = 5.0;
/// Load time where nothing is known at all.
const LOAD_GUESS_S: Seconds = 5.0;
/// Part of a first cold run that counts as the load until a warm one tells.
const COLD_SHARE: f64 = 0.75;
/// Classes and model sets that are kept; beyond it new ones are not learned.
const KEPT_MAX: usize = 4096;

/// Everything learned.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    slots: HashMap<ServerId, usize>,
    servers: Vec<ServerId>,
    classes: BTreeMap<WorkClass, ClassTimes>,
    loads: BTreeMap<ModelSet, LoadTimes>,
    /// Loads of any models, anywhere.
    any_load: Ewma,
    /// Shares of the load in cold runs, for models of which no warm run was seen yet.
    cold_shares: BTreeMap<ModelSet, Seconds>,
    /// A server's times against its peers', by slot; 2 is half as fast.
    slowness: BySlot,
    /// Runs of any class, by slot: what a prompt of somebody else probably takes.
    any_run: BySlot,
    /// Runs of any class anywhere, on a usual server.
    any_base: Ewma,
    dirty: BTreeSet<FactKey>,
}

/// One run as it was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// What ran.
    pub class: WorkClass,
    /// What it needed.
    pub models: ModelSet,
    /// Where.
    pub server: ServerId,
    /// Whether its models had to be loaded.
    pub cold: bool,
    /// From its beginning to its end.
    pub seconds: Seconds,
}

/// What a [`Fact`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactKey {
    /// Run time of a class on a server.
    Run(WorkClass, ServerId),
    /// Load time of a model set on a server.
    Load(ModelSet, ServerId),
    /// Times on a server against its peers'.
    Slowness(ServerId),
}

/// Something learned, for keeping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fact {
    /// What it is about.
    pub key: FactKey,
    /// The value, in seconds; a ratio for [`FactKey::Slowness`].
    pub value: f64,
    /// Observations it rests on.
    pub samples: u32,
}

impl Learned {
    /// Takes in a run.
    pub fn observe(&mut self, seen: Observation) {
        if !seen.seconds.is_finite() || seen.seconds < 0.0 || !self.takes(seen) {
            return;
        }
        let slot = self.slot_of(seen.server);
        if seen.cold && !seen.models.is_none() {
            let times = self.classes.entry(seen.class).or_default();
            let Some(run) = times.runs.get(slot).and_then(Ewma::get) else {
                times.cold.retain(|(at, models, _)| (*at, *models) != (slot, seen.models));
                times.cold.push((slot, seen.models, seen.seconds));
                self.cold_shares.insert(seen.models, seen.seconds * COLD_SHARE);
                return;
            };
            return self.loaded(seen.models, slot, seen.seconds - run);
        }
        self.ran(seen.class, slot, seen.seconds);
        let times = self.classes.entry(seen.class).or_default();
        let settled: Vec<_> = times.cold.extract_if(.., |(at, ..)| *at == slot).collect();
        for (slot, models, whole) in settled {
            self.loaded(models, slot, whole - seen.seconds);
        }
    }

    fn takes(&self, seen: Observation) -> bool {
        (self.classes.len() < KEPT_MAX || self.classes.contains_key(&seen.class))
            && (self.loads.len() < KEPT_MAX || self.loads.contains_key(&seen.models))
    }

    fn ran(&mut self, class: WorkClass, slot: usize, seconds: Seconds) {
        // Only others can tell how fast a server is: that its own times vary says nothing of its speed.
        if let Some(peers) = self.peers(class, slot).filter(|peers| *peers > 0.0) {
            self.slowness[slot].push((seconds / peers).max(f64::MIN_POSITIVE));
        }
        let base = seconds / self.slowness[slot].get().unwrap_or(1.0);
        let times = self.classes.entry(class).or_default();
        times.base.push(base);
        self.any_base.push(base);
        times.run(slot, seconds);
        self.any_run[slot].push(seconds);
        let server = self.servers[slot];
        self.dirty.extend([FactKey::Run(class, server), FactKey::Slowness(server)]);
    }

    /// What a run of this class takes on a usual server, as every server but this one tells.
    fn peers(&self, class: WorkClass, slot: usize) -> Option<Seconds> {
        let runs = self.classes.get(&class)?.runs.iter().zip(&self.slowness).enumerate();
        let others = runs.filter(|(at, _)| *at != slot);
        let (sum, count) = others
            .filter_map(|(_, (run, slowness))| Some(run.get()? / slowness.get().unwrap_or(1.0)))
            .fold((0.0, 0.0), |(sum, count), base| (sum + base, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }

    fn loaded(&mut self, models: ModelSet, slot: usize, seconds: Seconds) {
        self.loads.entry(models).or_default().push(slot, seconds.max(0.0));
        self.any_load.push(seconds.max(0.0));
        self.cold_shares.remove(&models);
        self.dirty.insert(FactKey::Load(models, self.servers[slot]));
    }

    /// What a run of this class takes on a server whose models are resident, and whether that is a mere guess.
    pub fn run(&self, class: WorkClass, server: ServerId) -> (Seconds, bool) {
        self.run_at(class, self.slots.get(&server).copied())
    }

    /// What loading these models takes on a server.
    pub fn load(&self, models: ModelSet, server: ServerId) -> Seconds {
        self.loads_of(models).at(self.slots.get(&server).copied())
    }

    /// What a run of this class takes on a server of usual speed.
    pub fn usual_run(&self, class: WorkClass) -> Seconds {
        self.usual(class).unwrap_or_else(|| self.any_run())
    }

    fn any_run(&self) -> Seconds {
        self.any_base.get().unwrap_or(RUN_GUESS_S)
    }

    /// What a prompt of somebody else takes on a server.
    pub(crate) fn foreign_run(&self, slot: Option<usize>) -> Seconds {
        slot.and_then(|slot| self.any_run[slot].get()).unwrap_or_else(|| self.any_run())
    }

    /// No server's times against its peers' are less; at most 1.
    pub(crate) fn least_slowness(&self) -> f64 {
        self.slowness.iter().filter_map(Ewma::get).fold(1.0, f64::min)
    }

    pub(crate) fn slot(&self, server: ServerId) -> Option<usize> {
        self.slots.get(&server).copied()
    }

    fn run_at(&self, class: WorkClass, slot: Option<usize>) -> (Seconds, bool) {
        self.runs_of(class).at(slot)
    }

    /// Run times of a class by slot, for looking at many servers.
    pub(crate) fn runs_of(&self, class: WorkClass) -> Runs<'_> {
        let usual = self.usual(class);
        let times = self.classes.get(&class);
        Runs {
            by_slot: times.map(|times| times.runs.as_slice()).unwrap_or_default(),
            known_least: times.and_then(|times| times.least_run),
            slowness: &self.slowness,
            usual: usual.unwrap_or_else(|| self.any_run()),
            guessed: usual.is_none(),
        }
    }

    /// Load times of a model set by slot.
    pub(crate) fn loads_of(&self, models: ModelSet) -> Loads<'_> {
        if models.is_none() {
            return Loads { by_slot: &[], usual: 0.0, known_least: None };
        }
        let known = self.loads.get(&models);
        let usual = known.and_then(|known| known.usual).or_else(|| self.cold_shares.get(&models).copied());
        let usual = usual.or_else(|| self.any_load.get()).unwrap_or(LOAD_GUESS_S);
        Loads {
            by_slot: known.map(|known| known.by_slot.as_slice()).unwrap_or_default(),
            usual,
            known_least: known.and_then(|known| known.least),
        }
    }

    fn usual(&self, class: WorkClass) -> Option<Seconds> {
        if let Some(times) = self.classes.get(&class) {
            let cold = || times.cold.iter().map(|(.., whole)| whole * (1.0 - COLD_SHARE)).reduce(f64::min);
            if let Some(usual) = times.base.get().or_else(cold) {
                return Some(usual);
            }
        }
        let of_workflow = |scale| WorkClass { scale, ..class };
        let sizes = self.classes.range(of_workflow(i16::MIN)..=of_workflow(i16::MAX));
        let known = sizes.filter_map(|(other, times)| Some((*other, times.base.get()?)));
        let nearest = known.min_by_key(|(other, _)| (other.scale.abs_diff(class.scale), other.scale));
        nearest.map(|(other, base)| base * class.ratio_to(other).clamp(1.0 / 16.0, 16.0))
    }

    fn slot_of(&mut self, server: ServerId) -> usize {
        let next = self.servers.len();
        let slot = *self.slots.entry(server).or_insert(next);
        if slot == next {
            self.servers.push(server);
            self.slowness.push(Ewma::default());
            self.any_run.push(Ewma::default());
        }
        slot
    }

    /// What changed since the last call, in a fixed order.
    pub fn take_changes(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.dirty).into_iter().filter_map(|key| self.fact(key)).collect()
    }

    fn fact(&self, key: FactKey) -> Option<Fact> {
        let at = |times: &BySlot, server: &ServerId| times.get(*self.slots.get(server)?).copied();
        let ewma = match &key {
            FactKey::Run(class, server) => at(&self.classes.get(class)?.runs, server),
            FactKey::Load(models, server) => at(&self.loads.get(models)?.by_slot, server),
            FactKey::Slowness(server) => at(&self.slowness, server),
        }?;
        Some(Fact { key, value: ewma.value, samples: ewma.samples })
    }

    /// Puts back what was kept. Values that cannot be are left out.
    pub fn restore(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let mut facts: Vec<Fact> =
            facts.into_iter().filter(|fact| fact.value.is_finite() && fact.value >= 0.0).collect();
        // Speeds first: what a class takes on a usual server follows from them.
        facts.sort_by_key(|fact| (!matches!(fact.key, FactKey::Slowness(_)), fact.key));
        for Fact { key, value, samples } in facts {
            let ewma = Ewma { value, samples };
            match key {
                FactKey::Slowness(server) if value > 0.0 => {
                    let slot = self.slot_of(server);
                    self.slowness[slot] = ewma;
                }
                FactKey::Slowness(_) => {}
                FactKey::Load(models, server) => {
                    let slot = self.slot_of(server);
                    self.loads.entry(models).or_default().put(slot, ewma);
                    self.any_load.push(value);
                }
                FactKey::Run(class, server) => {
                    let slot = self.slot_of(server);
                    let times = self.classes.entry(class).or_default();
                    times.put_run(slot, ewma);
                    let base = value / self.slowness[slot].get().unwrap_or(1.0);
                    times.base.push(base);
                    self.any_base.push(base);
                    self.any_run[slot].push(value);
                }
            }
        }
        self.classes.values_mut().for_each(ClassTimes::sum_up);
        self.loads.values_mut().for_each(LoadTimes::sum_up);
    }
}

/// Run times of one class.
#[derive(Debug)]
pub(crate) struct Runs<'l> {
    by_slot: &'l [Ewma],
    slowness: &'l [Ewma],
    usual: Seconds,
    guessed: bool,
    known_least: Option<Seconds>,
}

impl Runs<'_> {
    pub(crate) fn at(&self, slot: Option<usize>) -> (Seconds, bool) {
        if let Some(run) = slot.and_then(|slot| self.by_slot.get(slot)).and_then(Ewma::get) {
            return (run, false);
        }
        let slowness = slot.and_then(|slot| self.slowness[slot].get()).unwrap_or(1.0);
        (self.usual * slowness, self.guessed)
    }

    /// No server takes less.
    pub(crate) fn least(&self, least_slowness: f64) -> Seconds {
        self.known_least.map_or(self.usual * least_slowness, |known| known.min(self.usual * least_slowness))
    }
}

/// Load times of one model set.
#[derive(Debug)]
pub(crate) struct Loads<'l> {
    by_slot: &'l [Ewma],
    usual: Seconds,
    known_least: Option<Seconds>,
}

impl Loads<'_> {
    pub(crate) fn at(&self, slot: Option<usize>) -> Seconds {
        slot.and_then(|slot| self.by_slot.get(slot)).and_then(Ewma::get).unwrap_or(self.usual)
    }

    /// No server takes less.
    pub(crate) fn least(&self) -> Seconds {
        self.known_least.map_or(self.usual, |known| known.min(self.usual))
    }
}

#[cfg(test)]
mod tests;
