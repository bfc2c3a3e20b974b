//! Finding the inputs of a graph that people want to set.
//!
//! Three sources, best first: the titles a workflow's author gave ([`Source::Title`]), a class that occurs once
//! ([`Source::Class`]), and the links that lead from a sampler to its texts, its latent and its model
//! ([`Source::Trace`]). Node ids are never trusted across exports; they are found anew in each graph.
//!
//! Every target is the *end* of its link chain: a literal value in some node. Detection never fails; what is
//! odd becomes a [`Problem`].

mod classes;
mod fitting;
mod hand;
mod resolve;
mod texts;
mod titles;
mod trace;

pub use classes::is_sampler;
pub use fitting::fitting;
pub use hand::{BadTarget, confirm};
pub(super) use resolve::{Stop, Want, resolve};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Graph;
use trace::Trace;

/// What an input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// What to draw; the instruction, in an edit workflow.
    Prompt,
    /// What not to draw.
    Negative,
    /// Random seed, 0 to 2^64-1.
    Seed,
    /// Width in px.
    Width,
    /// Height in px.
    Height,
    /// Sampling steps.
    Steps,
    /// Classifier-free guidance scale.
    Cfg,
    /// Distilled guidance of Flux-like models, beside a cfg of 1.
    Guidance,
    /// Sampler name.
    Sampler,
    /// Scheduler name.
    Scheduler,
    /// How much of the input image is redrawn, 0 to 1.
    Denoise,
    /// The main model file.
    Checkpoint,
    /// A LoRA file; one slot per loader.
    Lora,
    /// An upscale model file.
    UpscaleModel,
    /// A picture to start from; one slot per loader.
    InputImage,
    /// A mask picture.
    Mask,
    /// The model file that finds the parts of a picture which are redrawn.
    Detector,
    /// Pictures per run.
    Batch,
    /// The node whose pictures are the result; holds no value to set.
    Output,
    /// Where results are saved.
    FilenamePrefix,
}

impl SlotKind {
    /// Every kind, in order.
    pub const ALL: [Self; 20] = [
        Self::Prompt,
        Self::Negative,
        Self::Seed,
        Self::Width,
        Self::Height,
        Self::Steps,
        Self::Cfg,
        Self::Guidance,
        Self::Sampler,
        Self::Scheduler,
        Self::Denoise,
        Self::Checkpoint,
        Self::Lora,
        Self::UpscaleModel,
        Self::InputImage,
        Self::Mask,
        Self::Detector,
        Self::Batch,
        Self::Output,
        Self::FilenamePrefix,
    ];
}

/// How a slot was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// By a node's title.
    Title,
    /// By a class that leaves no choice.
    Class,
    /// By following links.
    Trace,
    /// A person chose it.
    Hand,
}

/// How sure the finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A person should look at it.
    Guess,
    /// Follows from how such graphs work.
    Likely,
    /// The author said so.
    Certain,
}

/// One input of one node, holding a value (not a link).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The node.
    pub node_id: String,
    /// Its input.
    pub input: String,
}

/// Something to set, and every place to set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// What it is for.
    pub kind: SlotKind,
    /// All of them get the same value.
    pub targets: Vec<Target>,
    /// How it was found.
    pub source: Source,
    /// How sure the finding is.
    pub confidence: Confidence,
    /// The value the workflow has at the first target.
    #[serde(default)]
    pub current: Option<Value>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something will not work as one may expect.
    Warning,
    /// The server will refuse this graph.
    Error,
}

/// Something odd about a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A sentence for people.
    pub message: String,
    /// The node concerned.
    #[serde(default)]
    pub node: Option<String>,
}

/// Everything found in a graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Slots {
    /// In order of [`SlotKind`]; several of one kind for LoRAs, input images, masks.
    pub slots: Vec<Slot>,
    /// What is odd, worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

impl Slots {
    /// The first slot of a kind.
    pub fn get(&self, kind: SlotKind) -> Option<&Slot> {
        self.all(kind).next()
    }

    /// All slots of a kind.
    pub fn all(&self, kind: SlotKind) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.kind == kind)
    }

    /// Whether there is a slot of a kind.
    pub fn has(&self, kind: SlotKind) -> bool {
        self.get(kind).is_some()
    }

    /// Ids of the nodes whose results are *the* results.
    pub fn output_nodes(&self) -> impl Iterator<Item = &str> {
        self.all(SlotKind::Output).flat_map(|slot| &slot.targets).map(|target| target.node_id.as_str())
    }
}

/// Finds all slots of a graph. Deterministic; the same graph gives the same slots in the same order.
pub fn detect(graph: &Graph) -> Slots {
    let mut found = Found { graph, slots: Vec::new(), problems: Vec::new() };
    structure_problems(&mut found);
    titles::detect(&mut found);
    let trace = Trace::of(graph);
    classes::detect(&mut found, &trace);
    trace::detect(&mut found, &trace);
    completeness_problems(&mut found, &trace);
    let Found { mut slots, mut problems, .. } = found;
    // Stable: slots of one kind keep the order they were found in.
    slots.sort_by_key(|slot| slot.kind);
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    Slots { slots, problems }
}

/// Detection in progress.
struct Found<'g> {
    graph: &'g Graph,
    slots: Vec<Slot>,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn has(&self, kind: SlotKind) -> bool {
        self.slots.iter().any(|slot| slot.kind == kind)
    }

    /// Adds a slot unless it has no targets; duplicates among them go.
    fn add(&mut self, kind: SlotKind, targets: Vec<Target>, source: Source, confidence: Confidence) {
        let mut unique: Vec<Target> = Vec::with_capacity(targets.len());
        for target in targets {
            if !unique.contains(&target) {
                unique.push(target);
            }
        }
        let Some(first) = unique.first() else { return };
        let current = self.graph.node(&first.node_id).and_then(|node| node.literal(&first.input)).cloned();
        self.slots.push(Slot { kind, targets: unique, source, confidence, current });
    }

    fn problem(&mut self, severity: Severity, node: Option<&str>, message: impl Into<String>) {
        self.problems.push(Problem { severity, message: message.into(), node: node.map(str::to_owned) });
    }
}

/// Links that lead nowhere or in circles: the server would refuse the graph.
fn structure_problems(found: &mut Found<'_>) {
    let graph = found.graph;
    for (id, input, link) in graph.links() {
        if graph.node(link.node_id).is_none() {
            let message = format!("Input '{input}' is linked to node {}, which is not in the workflow.", link.node_id);
            found.problem(Severity::Error, Some(id), message);
        }
    }
    if let Some(id) = trace::find_cycle(graph) {
        found.problem(Severity::Error, Some(id), "The links of this node lead back to itself.");
    }
}

fn completeness_problems(found: &mut Found<'_>, trace: &Trace<'_>) {
    if !found.has(SlotKind::Output) {
        found.problem(Severity::Error, None, "No node saves or shows a picture, so the server has nothing to run.");
    }
    let samples = !trace.samplers.is_empty();
    if samples && !found.has(SlotKind::Prompt) {
        found.problem(Severity::Warning, None, "No prompt input was found: the workflow keeps its own text.");
    }
    if samples && !found.has(SlotKind::Seed) {
        found.problem(Severity::Warning, None, "No seed input was found: every run gives the same picture.");
    }
    if trace.negative_is_zero && !found.has(SlotKind::Negative) {
        found.problem(Severity::Info, None, "This model takes no negative prompt.");
    }
}
