//! The worker: takes prompts from the queue one at a time and plays them with the recorded event sequence.
//!
//! Owns time: when each node and step happens, model loading, interrupts and the faults of a run. It draws pictures
//! through [`nodes`] and never answers HTTP. It stops at once when the life of the process is over.

mod ending;
mod events;
mod loading;
mod nodes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::graph::{self, ExecutionList, Signature};
use super::queue::Job;
use super::state::{Running, Sim, now_ms};
use crate::script::{DieAt, Fault};
use events::Events;
use nodes::{Failure, Studio};

/// Same prompts (number and id) pending at once that kill the real worker.
const DEADLY_TIES: usize = 3;
/// Time a process that comes back at once is away.
const RESTART_GAP: Duration = Duration::from_millis(30);

/// Works until the life is over.
pub(crate) async fn work(sim: Arc<Sim>, over: CancellationToken) {
    loop {
        let job = tokio::select! {
            biased;
            () = over.cancelled() => return,
            job = next(&sim) => job,
        };
        Run::new(&sim, &over, job).play().await;
        if over.is_cancelled() {
            return;
        }
    }
}

/// Waits for a prompt and marks it as running.
async fn next(sim: &Sim) -> Arc<Job> {
    loop {
        let woken = sim.wake.notified();
        let job = take(sim);
        // Memory that was to be freed is free now.
        sim.hold();
        if let Some(job) = job {
            return job;
        }
        woken.await;
    }
}

fn take(sim: &Sim) -> Option<Arc<Job>> {
    let mut state = sim.state();
    state.free();
    if state.worker_is_dead {
        return None;
    }
    let first = state.pending.items().first()?;
    if state.pending.items().iter().filter(|j| j.ties_with(first)).count() >= DEADLY_TIES {
        state.worker_is_dead = true;
        return None;
    }
    let job = state.pending.pop()?;
    state.running = Some(Running { job: job.clone(), node: None, interrupted: false });
    state.broadcast_status();
    Some(job)
}

/// Why a run stops early.
enum Stop {
    /// The process is gone.
    Over,
    Interrupted,
    Failed(Failure),
}

/// One prompt being played.
struct Run<'a> {
    sim: &'a Arc<Sim>,
    over: &'a CancellationToken,
    job: Arc<Job>,
    events: Events,
    signatures: HashMap<String, Signature>,
    studio: Studio,
    /// When the next step is due; sleeping to fixed times keeps the total exact.
    due: Instant,
    /// Time of one step.
    step: Duration,
    steps_done: u64,
    steps_total: u64,
    by_sampler: bool,
    half_done: bool,
    loaded: bool,
    outputs: Map<String, Value>,
    executed: Vec<String>,
    messages: Vec<Value>,
}

impl<'a> Run<'a> {
    fn new(sim: &'a Arc<Sim>, over: &'a CancellationToken, job: Arc<Job>) -> Run<'a> {
        let tag = |name: &str| sim.files().annotated(name).map(|f| f.etag()).unwrap_or_default();
        let signatures = graph::signatures(job.graph(), &tag);
        Run {
            sim,
            over,
            events: Events::new(&job),
            studio: Studio::new(sim, &job),
            signatures,
            job,
            due: Instant::now(),
            step: Duration::ZERO,
            steps_done: 0,
            steps_total: 1,
            by_sampler: false,
            half_done: false,
            loaded: false,
            outputs: Map::new(),
            executed: Vec::new(),
            messages: Vec::new(),
        }
    }

    async fn play(mut self) {
        let started_ms = now_ms();
        let mut list = self.start();
        let stop = self.nodes(&mut list).await.err();
        let pending = list.pending().to_vec();
        let outcome = match stop {
            None => {
                self.milestone("execution_success", json!({"prompt_id": self.job.id}));
                Outcome::Success
            }
            Some(Stop::Interrupted) => Outcome::Interrupted,
            Some(Stop::Failed(failure)) => {
                self.failed(&failure, &pending);
                Outcome::Error
            }
            Some(Stop::Over) => return,
        };
        if outcome == Outcome::Success && self.has(&Fault::Die { at: DieAt::BeforeHistory }) {
            drop(self.sim.down());
            return;
        }
        let gap = Duration::from_millis(self.sim.config.history_gap_ms);
        if !gap.is_zero() {
            tokio::select! {
                biased;
                () = self.over.cancelled() => return,
                () = tokio::time::sleep(gap) => {}
            }
        }
        self.finish(outcome, started_ms);
    }

    /// Announces the run and plans its time.
    fn start(&mut self) -> ExecutionList {
        self.milestone("execution_start", json!({"prompt_id": self.job.id}));
        let cached: Vec<String> = {
            let mut state = self.sim.state();
            let keep: std::collections::HashSet<Signature> = self.signatures.values().copied().collect();
            state.cache.retain(|signature, _| keep.contains(signature));
            let known = |id: &&String| self.signatures.get(*id).is_some_and(|s| state.cache.contains_key(s));
            self.job.graph().keys().filter(known).cloned().collect()
        };
        self.milestone("execution_cached", json!({"nodes": cached, "prompt_id": self.job.id}));
        let is_cached = |id: &str| cached.iter().any(|c| c == id);
        let list = ExecutionList::new(self.job.graph(), &self.sim.catalogue, &self.job.outputs, is_cached);
        let fresh: Vec<&String> = list.pending().iter().filter(|id| !is_cached(id)).collect();
        let graph = self.job.graph();
        let steps: u64 = fresh
            .iter()
            .filter(|id| graph::is_sampler(graph::class(graph, id)))
            .map(|id| graph::steps(graph, id))
            .sum();
        self.by_sampler = steps > 0;
        self.steps_total = if steps > 0 { steps } else { fresh.len() as u64 }.max(1);
        self.step = self.scaled(self.sim.config.run_ms, self.sim.jitter())
            / u32::try_from(self.steps_total).unwrap_or(u32::MAX);
        self.due = Instant::now();
        self.studio.prepare(fresh.into_iter());
        list
    }

    async fn nodes(&mut self, list: &mut ExecutionList) -> Result<(), Stop> {
        if self.has(&Fault::Die { at: DieAt::AfterAccept }) {
            self.over.cancelled().await;
            return Err(Stop::Over);
        }
        if self.has(&Fault::Hang) {
            self.hang().await?;
        }
        while list.len() > 0 {
            let Some(id) = list.pop() else { break };
            let known = self.signatures.get(&id).and_then(|s| self.sim.state().cache.get(s).cloned());
            if let Some(shown) = known {
                self.reuse(&id, shown);
                continue;
            }
            self.sim.state().running.as_mut().into_iter().for_each(|r| r.node = Some(id.clone()));
            self.events.start(self.sim, &id);
            let result = self.node(&id).await;
            if matches!(result, Err(Stop::Interrupted)) {
                self.interrupted(&id);
            }
            result?;
            self.executed.push(id);
        }
        Ok(())
    }

    /// Runs one node.
    async fn node(&mut self, id: &str) -> Result<(), Stop> {
        self.check_interrupt()?;
        let class = graph::class(self.job.graph(), id).to_owned();
        let sampler = graph::is_sampler(&class);
        if sampler || class.contains("Loader") {
            self.load_models().await?;
        }
        self.raise_if_due(id, sampler)?;
        if sampler {
            self.sample(id).await?;
        } else if !self.by_sampler {
            self.tick().await?;
        }
        if class == "ImageUpscaleWithModel" {
            self.events.progress(self.sim, id, 1, 1, None);
        }
        Studio::check(self.sim, &self.job, id, &class).map_err(Stop::Failed)?;
        let shown = self.studio.show(self.sim, &self.job, id, &class).await.map_err(Stop::Failed)?;
        if let Some(ui) = &shown {
            self.events.executed(self.sim, id, ui);
            self.outputs.insert(id.to_owned(), ui.clone());
        }
        self.events.finish(self.sim, id);
        if let Some(signature) = self.signatures.get(id) {
            self.sim.state().cache.insert(*signature, shown);
        }
        Ok(())
    }

    fn reuse(&mut self, id: &str, shown: Option<Value>) {
        if let Some(ui) = shown {
            self.events.executed(self.sim, id, &ui);
            self.outputs.insert(id.to_owned(), ui);
        }
        self.events.reused(self.sim, id);
    }

    async fn sample(&mut self, id: &str) -> Result<(), Stop> {
        let steps = graph::steps(self.job.graph(), id);
        let with_preview = Studio::wants_preview(self.sim, &self.job);
        for step in 1..=steps {
            self.tick().await?;
            let preview = with_preview.then(|| self.studio.preview(id, step, steps));
            self.events.progress(self.sim, id, step, steps, preview);
        }
        Ok(())
    }

    /// Waits for one step and lets the faults of the middle strike.
    async fn tick(&mut self) -> Result<(), Stop> {
        self.due += self.step;
        self.wait_until(self.due).await?;
        self.steps_done += 1;
        if !self.half_done && self.steps_done * 2 >= self.steps_total {
            self.half_done = true;
            self.middle()?;
            if self.has(&Fault::Hold) {
                self.hold().await?;
            }
        }
        self.check_interrupt()
    }

    /// The faults that strike half-way.
    fn middle(&mut self) -> Result<(), Stop> {
        for fault in self.job.faults.clone() {
            match fault {
                Fault::Die { at: DieAt::MidRun } => {
                    drop(self.sim.down());
                    return Err(Stop::Over);
                }
                Fault::RestartEmpty => {
                    drop(self.sim.down());
                    let sim = self.sim.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(RESTART_GAP).await;
                        super::restart(&sim).await;
                    });
                    return Err(Stop::Over);
                }
                Fault::DropSocket => {
                    if let Some(client) = &self.job.client_id {
                        self.sim.state().sockets.cut(client);
                    }
                }
                Fault::Interrupted => {
                    self.sim.interrupt(Some(&self.job.id));
                }
                Fault::UnknownEvents => self.events.unknown(self.sim),
                _ => {}
            }
        }
        Ok(())
    }

    fn raise_if_due(&self, id: &str, sampler: bool) -> Result<(), Stop> {
        for fault in &self.job.faults {
            let Fault::ExecutionError { node, exception_type, message } = fault else { continue };
            let last = self.job.outputs.iter().any(|o| o == id);
            if node.as_deref().map_or(sampler || (last && !self.by_sampler), |n| n == id) {
                return Err(Stop::Failed(Failure::new(id, exception_type, message)));
            }
        }
        Ok(())
    }

    fn has(&self, fault: &Fault) -> bool {
        self.job.faults.contains(fault)
    }

    fn check_interrupt(&self) -> Result<(), Stop> {
        let interrupted = self.sim.state().running.as_ref().is_some_and(|r| r.interrupted);
        if interrupted { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// Hangs until the process ends or the faults are cleared.
    async fn hang(&mut self) -> Result<(), Stop> {
        if let Some(first) = self.job.graph().keys().next().cloned() {
            self.events.start(self.sim, &first);
        }
        self.until_healed(self.sim.healed(), |_| Ok(())).await
    }

    /// Stands still until an interrupt comes, or faults are cleared; not at all if they were since it was posted.
    async fn hold(&mut self) -> Result<(), Stop> {
        self.until_healed(self.job.healed, Self::check_interrupt).await
    }

    async fn until_healed(&mut self, sick_since: u64, check: fn(&Self) -> Result<(), Stop>) -> Result<(), Stop> {
        loop {
            let nudged = self.sim.nudge.notified();
            tokio::pin!(nudged);
            nudged.as_mut().enable();
            check(self)?;
            if self.sim.healed() != sick_since {
                self.due = Instant::now();
                return Ok(());
            }
            tokio::select! {
                () = self.over.cancelled() => return Err(Stop::Over),
                () = nudged => {}
            }
        }
    }

    async fn wait(&self, time: Duration) -> Result<(), Stop> {
        self.wait_until(Instant::now() + time).await
    }

    /// Sleeps; an interrupt or the end of the process cuts it short.
    async fn wait_until(&self, due: Instant) -> Result<(), Stop> {
        while Instant::now() < due {
            let nudged = self.sim.nudge.notified();
            tokio::pin!(nudged);
            nudged.as_mut().enable();
            self.check_interrupt()?;
            tokio::select! {
                biased;
                () = self.over.cancelled() => return Err(Stop::Over),
                () = nudged => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
        if self.over.is_cancelled() { Err(Stop::Over) } else { Ok(()) }
    }
}
