//! Writing values into a graph.
//!
//! [`bind`] copies the graph once and patches only what it is given; `None` leaves the workflow's own value.
//! Invariants: a link is never overwritten (a linked input is followed to the literal that feeds it), a value
//! is never replaced by one of another type, nodes that no slot names stay untouched, and binding twice is the
//! same as binding once.

use serde_json::{Number, Value};

use super::Graph;
use super::slots::{Slot, SlotKind, Slots, Stop, Target, Want, resolve};

/// Longest file name prefix, in characters.
const MAX_PREFIX_CHARS: usize = 200;

/// Values to write; `None` keeps what the workflow has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bindings {
    /// What to draw.
    pub prompt: Option<String>,
    /// What not to draw. Ignored by workflows whose model takes none.
    pub negative: Option<String>,
    /// Seed; the whole range is valid.
    pub seed: Option<u64>,
    /// Width in px.
    pub width: Option<u32>,
    /// Height in px.
    pub height: Option<u32>,
    /// Sampling steps.
    pub steps: Option<u32>,
    /// Guidance scale.
    pub cfg: Option<f64>,
    /// Distilled guidance of Flux-like models.
    pub guidance: Option<f64>,
    /// Sampler name, as the server spells it.
    pub sampler: Option<String>,
    /// Scheduler name, as the server spells it.
    pub scheduler: Option<String>,
    /// 0 keeps the input image, 1 redraws it.
    pub denoise: Option<f64>,
    /// Main model file.
    pub checkpoint: Option<String>,
    /// The picture to start from: [`crate::UploadedImage::reference`].
    pub input_image: Option<String>,
    /// Further pictures, for the second input image on.
    pub extra_images: Vec<String>,
    /// Mask picture.
    pub mask: Option<String>,
    /// Model file that finds the parts to redraw.
    pub detector: Option<String>,
    /// Pictures per run.
    pub batch: Option<u32>,
    /// Where results are saved, such as `hub/<job>/img`. Make it unique per attempt: an identical graph is
    /// answered from the server's cache, with a file that may be gone.
    pub filename_prefix: Option<String>,
    /// Values for inputs that no slot covers.
    pub custom: Vec<(Target, Value)>,
}

/// A bound graph, and what found no place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The graph to post.
    pub graph: Graph,
    /// Values that were given but that the workflow has no slot for. Pictures are never among them: a missing
    /// place for a picture is an error.
    pub unused: Vec<SlotKind>,
}

/// A value that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// A picture was given, and the workflow takes none (or not so many).
    #[error("the workflow has no place for {what}")]
    NoSlot {
        /// What was given.
        what: &'static str,
    },
    /// The slots belong to another version of the graph.
    #[error("node {node_id} or its input '{input}' is not in the workflow")]
    Stale {
        /// Missing node.
        node_id: String,
        /// Missing input.
        input: String,
    },
    /// The input is computed by other nodes.
    #[error("input '{input}' of node {node_id} is computed by another node and cannot be set")]
    Linked {
        /// The node.
        node_id: String,
        /// Its input.
        input: String,
    },
    /// The input holds a value of another type.
    #[error("input '{input}' of node {node_id} takes a value of another type")]
    WrongType {
        /// The node.
        node_id: String,
        /// Its input.
        input: String,
    },
    /// A number outside what makes sense at all.
    #[error("{what} cannot be {value}")]
    OutOfRange {
        /// What was given.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A prefix that could leave the output folder.
    #[error("'{0}' cannot be used as a file name prefix")]
    UnsafePrefix(String),
}

/// Writes values into a copy of the graph.
///
/// # Errors
/// [`BindError`]; the first one found.
pub fn bind(graph: &Graph, slots: &Slots, values: &Bindings) -> Result<Graph, BindError> {
    bind_all(graph, slots, values).map(|bound| bound.graph)
}

/// Like [`bind`], and tells which values found no place.
///
/// # Errors
/// [`BindError`]; the first one found.
pub fn bind_all(graph: &Graph, slots: &Slots, values: &Bindings) -> Result<Bound, BindError> {
    check(values)?;
    let mut work = Work { graph: graph.clone(), slots, unused: Vec::new() };
    work.text(SlotKind::Prompt, values.prompt.as_deref())?;
    work.text(SlotKind::Negative, values.negative.as_deref())?;
    work.number(SlotKind::Seed, values.seed.map(Number::from))?;
    work.number(SlotKind::Width, values.width.map(Number::from))?;
    work.number(SlotKind::Height, values.height.map(Number::from))?;
    work.number(SlotKind::Steps, values.steps.map(Number::from))?;
    work.number(SlotKind::Batch, values.batch.map(Number::from))?;
    work.number(SlotKind::Cfg, values.cfg.and_then(Number::from_f64))?;
    work.number(SlotKind::Guidance, values.guidance.and_then(Number::from_f64))?;
    work.number(SlotKind::Denoise, values.denoise.and_then(Number::from_f64))?;
    work.text(SlotKind::Sampler, values.sampler.as_deref())?;
    work.text(SlotKind::Scheduler, values.scheduler.as_deref())?;
    work.text(SlotKind::Checkpoint, values.checkpoint.as_deref())?;
    work.text(SlotKind::Detector, values.detector.as_deref())?;
    work.pictures(values)?;
    work.prefix(values.filename_prefix.as_deref())?;
    for (target, value) in &values.custom {
        work.custom(target, value)?;
    }
    Ok(Bound { graph: work.graph, unused: work.unused })
}

/// Refuses what no server could make sense of. The limits of a particular server are its own to check.
fn check(values: &Bindings) -> Result<(), BindError> {
    let out = |what, value: &dyn std::fmt::Display| Err(BindError::OutOfRange { what, value: value.to_string() });
    for (what, value) in [
        ("the width", values.width),
        ("the height", values.height),
        ("the number of steps", values.steps),
        ("the batch size", values.batch),
    ] {
        if value == Some(0) {
            return out(what, &0);
        }
    }
    for (what, value) in [("the cfg", values.cfg), ("the guidance", values.guidance)] {
        if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
            return out(what, &value);
        }
    }
    match values.denoise {
        Some(value) if !(0.0..=1.0).contains(&value) => out("the denoise", &value),
        _ => Ok(()),
    }
}

struct Work<'s> {
    graph: Graph,
    slots: &'s Slots,
    unused: Vec<SlotKind>,
}

impl Work<'_> {
    fn text(&mut self, kind: SlotKind, value: Option<&str>) -> Result<(), BindError> {
        let Some(value) = value else { return Ok(()) };
        self.slot(kind, &Value::from(value), Want::Text)
    }

    fn number(&mut self, kind: SlotKind, value: Option<Number>) -> Result<(), BindError> {
        let Some(value) = value else { return Ok(()) };
        self.slot(kind, &Value::Number(value), Want::Number)
    }

    fn slot(&mut self, kind: SlotKind, value: &Value, want: Want) -> Result<(), BindError> {
        let Some(slot) = self.slots.get(kind) else {
            self.unused.push(kind);
            return Ok(());
        };
        slot.targets.iter().try_for_each(|target| {
            // The contract's seed is created where it is absent.
            if kind == SlotKind::Seed && target.input == "value" && self.is_unset(target) {
                return self.put(target, value.clone());
            }
            self.write(target, value.clone(), want)
        })
    }

    fn pictures(&mut self, values: &Bindings) -> Result<(), BindError> {
        let images = values.input_image.iter().chain(&values.extra_images);
        let slots = self.slots;
        let mut places = slots.all(SlotKind::InputImage);
        for image in images {
            let slot: &Slot = places.next().ok_or(BindError::NoSlot { what: "this many input images" })?;
            for target in &slot.targets {
                self.write(target, Value::from(image.as_str()), Want::Text)?;
            }
        }
        let Some(mask) = &values.mask else { return Ok(()) };
        let slot = slots.get(SlotKind::Mask).ok_or(BindError::NoSlot { what: "a mask" })?;
        slot.targets.iter().try_for_each(|target| self.write(target, Value::from(mask.as_str()), Want::Text))
    }

    /// Each saving node gets its own prefix, or their counters would collide on one name.
    fn prefix(&mut self, prefix: Option<&str>) -> Result<(), BindError> {
        let Some(prefix) = prefix else { return Ok(()) };
        check_prefix(prefix)?;
        let slots = self.slots;
        let Some(slot) = slots.get(SlotKind::FilenamePrefix) else {
            self.unused.push(SlotKind::FilenamePrefix);
            return Ok(());
        };
        let several = slot.targets.len() > 1;
        for target in &slot.targets {
            let own = if several {
                format!("{prefix}_n{}", target.node_id.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
            } else {
                prefix.to_owned()
            };
            self.write(target, Value::from(own), Want::Text)?;
        }
        Ok(())
    }

    fn custom(&mut self, target: &Target, value: &Value) -> Result<(), BindError> {
        let want = match value {
            Value::String(_) => Want::Text,
            Value::Number(_) => Want::Number,
            Value::Bool(_) => Want::Flag,
            _ => return Err(BindError::WrongType { node_id: target.node_id.clone(), input: target.input.clone() }),
        };
        self.write(target, value.clone(), want)
    }

    fn write(&mut self, target: &Target, value: Value, want: Want) -> Result<(), BindError> {
        let end = resolve(&self.graph, &target.node_id, &target.input, want).map_err(|stop| match stop {
            Stop::Absent => stale(target),
            Stop::Computed => BindError::Linked { node_id: target.node_id.clone(), input: target.input.clone() },
            Stop::WrongType => BindError::WrongType { node_id: target.node_id.clone(), input: target.input.clone() },
        })?;
        self.put(&end, value)
    }

    fn put(&mut self, target: &Target, value: Value) -> Result<(), BindError> {
        let node = self.graph.node_mut(&target.node_id).ok_or_else(|| stale(target))?;
        node.inputs.insert(target.input.clone(), value);
        Ok(())
    }

    fn is_unset(&self, target: &Target) -> bool {
        self.graph.node(&target.node_id).is_some_and(|node| !node.inputs.contains_key(&target.input))
    }
}

fn stale(target: &Target) -> BindError {
    BindError::Stale { node_id: target.node_id.clone(), input: target.input.clone() }
}

/// The server refuses prefixes that leave its output folder only once the picture is computed.
fn check_prefix(prefix: &str) -> Result<(), BindError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | ' ');
    let parts_ok = prefix.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if prefix.chars().all(plain) && parts_ok && prefix.len() <= MAX_PREFIX_CHARS {
        return Ok(());
    }
    Err(BindError::UnsafePrefix(prefix.to_owned()))
}
