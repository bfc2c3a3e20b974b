//! What nodes do: fail on bad inputs, draw and store pictures.
//!
//! Owns drawing in the background: pictures are drawn while the run "samples", so that drawing does not add to the
//! run time.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use image::RgbaImage;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::events::{Events, Format};
use crate::comfyui::files::{Folder, escapes, normalise};
use crate::comfyui::graph::{class, link, literal};
use crate::comfyui::queue::Job;
use crate::comfyui::render::{self, Metadata};
use crate::comfyui::state::{Sim, wall_clock};
use crate::comfyui::trace::{self, Pictures, Subject};
use crate::script::Fault;

/// Pictures up to this many pixels are drawn at once instead of in the background.
const SMALL_PIXELS: u64 = 64 * 64;

/// A node raised.
pub(super) struct Failure {
    pub(super) node: String,
    pub(super) kind: String,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(node: &str, kind: &str, message: &str) -> Failure {
        Failure { node: node.to_owned(), kind: kind.to_owned(), message: message.to_owned() }
    }

    /// What every traceback starts with.
    pub(super) fn traceback() -> Value {
        json!([
            "  File \"/opt/ComfyUI/execution.py\", line 545, in execute\n    output_data, output_ui, has_subgraph, has_pending_tasks = await get_output_data(prompt_id, unique_id, obj, input_data_all)\n",
            "  File \"/opt/ComfyUI/execution.py\", line 344, in get_output_data\n    return_values = await _async_map_node_over_list(prompt_id, unique_id, obj, input_data_all, obj.FUNCTION)\n"
        ])
    }
}

/// Draws the pictures of one run.
pub(super) struct Studio {
    sim: Arc<Sim>,
    job: Arc<Job>,
    drawings: HashMap<String, JoinHandle<Vec<Bytes>>>,
    subjects: HashMap<String, Subject>,
}

impl Studio {
    pub(super) fn new(sim: &Arc<Sim>, job: &Arc<Job>) -> Studio {
        Studio { sim: sim.clone(), job: job.clone(), drawings: HashMap::new(), subjects: HashMap::new() }
    }

    /// Starts to draw what the run will save.
    pub(super) fn prepare<'n>(&mut self, nodes: impl Iterator<Item = &'n String>) {
        for id in nodes.filter(|id| saves_pictures(class(self.job.graph(), id))) {
            let subject = trace::subject(self.job.graph(), id, &Reader { sim: &self.sim });
            let pixels = u64::from(subject.width) * u64::from(subject.height) * u64::from(subject.batch);
            if pixels > SMALL_PIXELS {
                let (sim, job, copy) = (self.sim.clone(), self.job.clone(), subject.clone());
                let drawing = tokio::task::spawn_blocking(move || draw(&sim, &job, &copy));
                self.drawings.insert(id.clone(), drawing);
            }
            self.subjects.insert(id.clone(), subject);
        }
    }

    /// Errors that show only when a node runs.
    pub(super) fn check(sim: &Sim, job: &Job, id: &str, class_name: &str) -> Result<(), Failure> {
        match class_name {
            "LoadImage" | "LoadImageMask" => {
                let name = literal(job.graph(), id, "image").and_then(Value::as_str).unwrap_or("");
                let readable = sim.files().annotated(name).is_some_and(|f| image::guess_format(&f.bytes).is_ok());
                if readable {
                    return Ok(());
                }
                let message = format!("cannot identify image file '/data/comfyui/input/{name}'\n");
                Err(Failure::new(id, "PIL.UnidentifiedImageError", &message))
            }
            "VAEDecode" | "VAEDecodeTiled" if channels_differ(job, id) => {
                let message = "Given groups=1, weight of size [64, 4, 3, 3], expected input[1, 16, 8, 8] to have 4 channels, but got 16 channels instead";
                Err(Failure::new(id, "RuntimeError", message))
            }
            _ => Ok(()),
        }
    }

    /// Stores what an output node shows and returns it as `executed` tells it.
    pub(super) async fn show(
        &mut self,
        sim: &Sim,
        job: &Job,
        id: &str,
        class_name: &str,
    ) -> Result<Option<Value>, Failure> {
        if class_name == "PreviewAny" {
            let source = literal(job.graph(), id, "source").cloned().unwrap_or_default();
            let text = source.as_str().map_or_else(|| source.to_string(), str::to_owned);
            return Ok(Some(json!({"text": [text]})));
        }
        if !saves_pictures(class_name) {
            return Ok(None);
        }
        let pictures = self.pictures(id).await;
        if class_name == "SaveImageWebsocket" {
            let events = Events::new(job);
            for png in &pictures {
                events.picture(sim, id, Format::Png, png);
            }
            return Ok(None);
        }
        let (folder, prefix) = match class_name {
            "SaveImage" => (Folder::Output, self.prefix(id)),
            _ => (Folder::Temp, format!("ComfyUI_temp_{}", sim.random_letters())),
        };
        if escapes(&prefix) {
            let message = "**** ERROR: Saving image outside the output folder is not allowed.\n full_output_folder: /data/comfyui\n         output_dir: /data/comfyui/output\n";
            return Err(Failure::new(id, "Exception", message));
        }
        let path = normalise(&prefix);
        let (subfolder, stem) = path.rsplit_once('/').unwrap_or(("", &path));
        let keep = !job.faults.contains(&Fault::ViewMissing);
        let mut files = sim.files();
        let images: Vec<Value> = pictures
            .into_iter()
            .map(|png| {
                let name = files.produce(folder, subfolder, stem, png, keep);
                json!({"filename": name, "subfolder": subfolder, "type": folder.name()})
            })
            .collect();
        drop(files);
        let mut ui = Map::new();
        ui.insert("images".to_owned(), json!(images));
        if class_name == "MaskPreview" {
            ui.insert("animated".to_owned(), json!([false]));
        }
        Ok(Some(Value::Object(ui)))
    }

    /// True when this prompt sends previews.
    pub(super) fn wants_preview(sim: &Sim, job: &Job) -> bool {
        let asked = job.extra["preview_method"].as_str().filter(|_| sim.version.after(0, 4, 0));
        match asked {
            Some("none") => false,
            Some("default") | None => sim.config.preview,
            Some(_) => true,
        }
    }

    /// The preview after a step.
    pub(super) fn preview(&self, id: &str, step: u64, steps: u64) -> Vec<u8> {
        let subject = self
            .subjects
            .values()
            .next()
            .cloned()
            .unwrap_or_else(|| trace::subject(self.job.graph(), id, &Reader { sim: &self.sim }));
        render::preview(&subject, step as f32 / steps as f32)
    }

    async fn pictures(&mut self, id: &str) -> Vec<Bytes> {
        if let Some(drawing) = self.drawings.remove(id)
            && let Ok(pictures) = drawing.await
        {
            return pictures;
        }
        let subject = self
            .subjects
            .remove(id)
            .unwrap_or_else(|| trace::subject(self.job.graph(), id, &Reader { sim: &self.sim }));
        draw(&self.sim, &self.job, &subject)
    }

    /// `filename_prefix` with its variables filled in.
    fn prefix(&self, id: &str) -> String {
        let raw = literal(self.job.graph(), id, "filename_prefix").and_then(Value::as_str).unwrap_or("ComfyUI");
        if !raw.contains('%') {
            return raw.to_owned();
        }
        let (width, height) = self.subjects.get(id).map_or((0, 0), |s| (s.width, s.height));
        let now = chrono::DateTime::<chrono::Local>::from(wall_clock());
        let mut text = raw.replace("%width%", &width.to_string()).replace("%height%", &height.to_string());
        for (name, format) in
            [("year", "%Y"), ("month", "%m"), ("day", "%d"), ("hour", "%H"), ("minute", "%M"), ("second", "%S")]
        {
            text = text.replace(&format!("%{name}%"), &now.format(format).to_string());
        }
        text
    }
}

fn saves_pictures(class_name: &str) -> bool {
    matches!(class_name, "SaveImage" | "PreviewImage" | "MaskPreview" | "SaveImageWebsocket")
}

fn draw(sim: &Sim, job: &Job, subject: &Subject) -> Vec<Bytes> {
    let metadata = Metadata { prompt: &job.graph, extra: job.extra.get("extra_pnginfo") };
    (0..subject.batch)
        .map(|index| {
            let canvas = render::draw(subject, index, sim.config.label.as_deref());
            Bytes::from(render::png(&canvas, Some(&metadata)))
        })
        .collect()
}

/// A 16-channel latent meets the 4-channel VAE of an old checkpoint: the recorded permanent error.
fn channels_differ(job: &Job, id: &str) -> bool {
    let graph = job.graph();
    let source = |name: &str| graph.get(id).and_then(|n| link(&n["inputs"][name])).map(|(from, _)| from);
    let (Some(samples), Some(vae)) = (source("samples"), source("vae")) else { return false };
    let checkpoint = literal(graph, vae, "ckpt_name").and_then(Value::as_str).unwrap_or("");
    let old = ["sd15", "v1-5", "512-inpainting"].iter().any(|n| checkpoint.contains(n));
    old && class(graph, samples) == "EmptySD3LatentImage"
}

struct Reader<'a> {
    sim: &'a Sim,
}

impl Pictures for Reader<'_> {
    fn load(&self, name: &str) -> Option<Arc<RgbaImage>> {
        let bytes = self.sim.files().annotated(name)?.bytes;
        image::load_from_memory(&bytes).ok().map(|picture| Arc::new(picture.to_rgba8()))
    }
}
