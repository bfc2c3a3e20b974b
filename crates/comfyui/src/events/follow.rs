//! Events of one prompt, folded into a phase and a progress that never goes back.
//!
//! Pure: no clock, no I/O. Events of other prompts are ignored. Losing events (a reconnect) can leave the fold
//! behind but never make it wrong: every later event implies the earlier ones, and an end without a cause is
//! [`Outcome::Unknown`], to be looked up in the history.
//!
//! Nodes are weighted, since a sampler takes nearly all of the time and the other ten nodes none of it.

use std::collections::{HashMap, HashSet};

use super::{Event, ExecutionError, NodeState};
use crate::workflow::{Graph, slots::is_sampler};

/// A sampler counts as much as this many ordinary nodes.
const SAMPLER_WEIGHT: f64 = 24.0;
/// Model loaders and VAE passes.
const HEAVY_WEIGHT: f64 = 3.0;
/// Progress shown at most before the end is known.
const ALMOST: f64 = 0.99;

/// Where a prompt stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Nothing heard of it yet.
    Pending,
    /// It runs.
    Running,
    /// It ended, but the history may not have it yet.
    Settling(Outcome),
    /// It ended and the history has it.
    Finished(Outcome),
}

/// How a prompt ended, as far as events tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All nodes ran.
    Success,
    /// A node failed.
    Error(Box<ExecutionError>),
    /// Somebody interrupted it.
    Interrupted,
    /// The message that would tell was missed; ask the history.
    Unknown,
}

/// How far a prompt is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// 0 to 1, never decreasing; 1 only after success.
    pub fraction: f64,
    /// The node at work.
    pub node: Option<String>,
    /// Steps of that node: done and in all, when it has steps.
    pub steps: Option<(u32, u32)>,
}

/// The fold.
#[derive(Debug, Clone)]
pub struct Follow {
    prompt_id: String,
    phase: Phase,
    progress: Progress,
    weights: HashMap<String, f64>,
    total: f64,
    finished: HashSet<String>,
}

impl Follow {
    /// Follows a prompt whose graph is not at hand; all nodes weigh the same and are learnt as they come.
    pub fn new(prompt_id: impl Into<String>) -> Self {
        Self {
            prompt_id: prompt_id.into(),
            phase: Phase::Pending,
            progress: Progress::default(),
            weights: HashMap::new(),
            total: 0.0,
            finished: HashSet::new(),
        }
    }

    /// Follows a prompt that runs `graph`.
    pub fn graph(prompt_id: impl Into<String>, graph: &Graph) -> Self {
        let weights: HashMap<String, f64> = graph.nodes().map(|(id, node)| (id.to_owned(), weight(node))).collect();
        Self { total: weights.values().sum(), weights, ..Self::new(prompt_id) }
    }

    /// The prompt followed.
    pub fn prompt_id(&self) -> &str {
        &self.prompt_id
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Settling(outcome) | Phase::Finished(outcome) => Some(outcome),
            Phase::Pending | Phase::Running => None,
        }
    }

    /// Folds one event in; true when phase or progress changed.
    pub fn apply(&mut self, event: &Event) -> bool {
        if event.prompt_id() != Some(self.prompt_id.as_str()) || matches!(self.phase, Phase::Finished(_)) {
            return false;
        }
        let before = (self.phase.clone(), self.progress.clone());
        match event {
            Event::Executing { node: None, .. } => {
                let outcome = self.outcome().cloned().unwrap_or(Outcome::Unknown);
                self.finish(Phase::Finished(outcome));
            }
            Event::ExecutionSuccess { .. } => self.finish(Phase::Settling(Outcome::Success)),
            Event::ExecutionError(error) => self.finish(Phase::Settling(Outcome::Error(error.clone()))),
            Event::ExecutionInterrupted { .. } => self.finish(Phase::Settling(Outcome::Interrupted)),
            // Previews and the like may trail behind the end.
            _ if self.outcome().is_some() => {}
            _ => self.advance(event),
        }
        before != (self.phase.clone(), self.progress.clone())
    }

    fn advance(&mut self, event: &Event) {
        self.phase = Phase::Running;
        match event {
            Event::ExecutionCached { nodes, .. } => {
                for node in nodes {
                    self.learn(node);
                    self.finished.insert(node.clone());
                }
                self.raise(0.0);
            }
            Event::Executing { node: Some(node), .. } => {
                self.learn(node);
                if self.progress.node.as_ref() != Some(node) {
                    // A node starts when the one before is done; parallel ones are told apart by progress_state.
                    if let Some(done) = self.progress.node.replace(node.clone()) {
                        self.finished.insert(done);
                    }
                    self.progress.steps = None;
                }
                self.raise(0.0);
            }
            Event::Progress { node, value, max, .. } => {
                self.learn(node);
                self.progress.node = Some(node.clone());
                let partial = self.set_steps(node, *value, *max);
                self.raise(partial);
            }
            Event::ProgressState { nodes, .. } => {
                let mut partial = 0.0;
                for node in nodes {
                    let id = node
                        .display_node_id
                        .as_ref()
                        .filter(|id| self.weights.contains_key(*id))
                        .unwrap_or(&node.node_id);
                    self.learn(id);
                    match node.state {
                        NodeState::Finished => drop(self.finished.insert(id.clone())),
                        NodeState::Running => {
                            self.finished.remove(id);
                            self.progress.node = Some(id.clone());
                            partial += self.set_steps(id, node.value, node.max);
                        }
                        NodeState::Pending | NodeState::Other => {}
                    }
                }
                self.raise(partial);
            }
            _ => {}
        }
    }

    /// Nodes that appear at run time widen the total.
    fn learn(&mut self, node: &str) {
        if !self.weights.contains_key(node) {
            self.weights.insert(node.to_owned(), 1.0);
            self.total += 1.0;
        }
    }

    /// Remembers the steps of the node at work and returns its done part as a weight.
    fn set_steps(&mut self, node: &str, value: f64, max: f64) -> f64 {
        if !(value.is_finite() && max.is_finite() && max > 0.0) {
            return 0.0;
        }
        let value = value.clamp(0.0, max);
        if max > 1.0 && max <= f64::from(u32::MAX) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 0..=u32::MAX above"
            )]
            let steps = (value as u32, max as u32);
            self.progress.steps = Some(steps);
        }
        value / max * self.weights.get(node).copied().unwrap_or(1.0)
    }

    fn raise(&mut self, partial: f64) {
        if self.total <= 0.0 {
            return;
        }
        let done: f64 = self.finished.iter().filter_map(|node| self.weights.get(node)).sum();
        let fraction = ((done + partial) / self.total).clamp(0.0, ALMOST);
        self.progress.fraction = self.progress.fraction.max(fraction);
    }

    fn finish(&mut self, phase: Phase) {
        self.phase = phase;
        self.progress.node = None;
        self.progress.steps = None;
        if matches!(self.outcome(), Some(Outcome::Success)) {
            self.progress.fraction = 1.0;
        }
    }
}

fn weight(node: &crate::workflow::Node) -> f64 {
    if is_sampler(node) {
        return SAMPLER_WEIGHT;
    }
    let class = node.class_type.as_str();
    let heavy = class.contains("VAE") || class.contains("Loader") || class.contains("UpscaleWithModel");
    if heavy { HEAVY_WEIGHT } else { 1.0 }
}
