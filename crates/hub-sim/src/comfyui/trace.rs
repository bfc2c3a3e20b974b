//! What a saved picture shows: size, batch, prompt, seed and input picture, traced through the graph.
//!
//! Owns the meaning of nodes as far as size and content go. Pure reading of graph and files; it draws nothing.

use std::sync::Arc;

use image::RgbaImage;
use serde_json::Value;

use super::graph::{Graph, class, is_sampler, link, literal};

/// Longest chain of nodes that is followed.
const MAX_DEPTH: u32 = 256;
/// Largest side that is drawn, pixels.
const MAX_SIDE: u32 = 8192;
/// Most pictures of one batch.
const MAX_BATCH: u32 = 64;

/// Sizes Flux Kontext prefers.
const KONTEXT_SIZES: [(u32, u32); 17] = [
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
];

/// What to draw.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Pixels, at least 1.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) batch: u32,
    /// The picture it is made from, at any size.
    pub(crate) base: Option<Arc<RgbaImage>>,
    /// Margins added around `base`: left, top, right, bottom, as fractions of the final size.
    pub(crate) margins: [f32; 4],
    /// How much of `base` shows, 0.0 to 1.0.
    pub(crate) keep: f32,
    /// Where `base` is repainted: white is, black is not; at any size. The rest shows in full.
    pub(crate) mask: Option<Arc<RgbaImage>>,
    pub(crate) prompt: String,
    pub(crate) negative: String,
    pub(crate) seed: Option<u64>,
}

impl Subject {
    /// A square picture for the input folder.
    pub(crate) fn sample(side: u32, seed: u64) -> Subject {
        Subject { seed: Some(seed), ..Subject::blank(u64::from(side), u64::from(side), 1) }
    }

    fn blank(width: u64, height: u64, batch: u64) -> Subject {
        let side = |n: u64| u32::try_from(n).unwrap_or(MAX_SIDE).clamp(1, MAX_SIDE);
        Subject {
            width: side(width),
            height: side(height),
            batch: u32::try_from(batch).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH),
            base: None,
            margins: [0.0; 4],
            keep: 1.0,
            mask: None,
            prompt: String::new(),
            negative: String::new(),
            seed: None,
        }
    }

    fn sized(mut self, width: f64, height: f64) -> Subject {
        self.width = pixels(width);
        self.height = pixels(height);
        self
    }

    fn scaled(self, factor: f64) -> Subject {
        let (w, h) = (f64::from(self.width) * factor, f64::from(self.height) * factor);
        self.sized(w, h)
    }

    /// Rounds down to the grid of a VAE.
    fn on_grid(mut self) -> Subject {
        self.width = (self.width / 8 * 8).max(8);
        self.height = (self.height / 8 * 8).max(8);
        self
    }
}

/// Reads the pictures a graph names.
pub(crate) trait Pictures {
    /// The decoded file of an image loader.
    fn load(&self, name: &str) -> Option<Arc<RgbaImage>>;
}

/// The subject at an output node's image input.
pub(crate) fn subject(graph: &Graph, id: &str, pictures: &dyn Pictures) -> Subject {
    Tracer { graph, pictures }
        .upstream(id, &["images", "image", "mask"], 0)
        .unwrap_or_else(|| Subject::blank(512, 512, 1))
}

struct Tracer<'a> {
    graph: &'a Graph,
    pictures: &'a dyn Pictures,
}

impl Tracer<'_> {
    /// The subject behind the first linked input of these names.
    fn upstream(&self, id: &str, names: &[&str], depth: u32) -> Option<Subject> {
        if depth > MAX_DEPTH {
            return None;
        }
        let inputs = self.graph.get(id)?.get("inputs")?;
        let from = names.iter().find_map(|n| link(inputs.get(n)?))?.0;
        self.node(from, depth + 1)
    }

    fn node(&self, id: &str, depth: u32) -> Option<Subject> {
        let class = class(self.graph, id);
        if class == "FaceDetailer" {
            return self.detailed(id, depth);
        }
        if is_sampler(class) {
            return self.sampled(id, class, depth);
        }
        match class {
            "EmptyLatentImage"
            | "EmptySD3LatentImage"
            | "EmptyFlux2LatentImage"
            | "EmptyHunyuanLatentVideo"
            | "EmptyImage" => {
                let mut subject = Subject::blank(
                    self.int(id, "width", 512),
                    self.int(id, "height", 512),
                    self.int(id, "batch_size", 1),
                );
                subject.prompt = self.tint(id).unwrap_or_default();
                Some(subject)
            }
            "SolidMask" => Some(Subject::blank(self.int(id, "width", 512), self.int(id, "height", 512), 1)),
            "LoadImage" | "LoadImageMask" => self.loaded(id),
            _ => {
                const FROM: [&str; 10] = [
                    "image",
                    "images",
                    "pixels",
                    "samples",
                    "latent_image",
                    "latent",
                    "image1",
                    "mask",
                    "on_true",
                    "on_false",
                ];
                self.upstream(id, &FROM, depth).map(|s| self.changed(id, class, s))
            }
        }
    }

    /// The text whose length tints an empty picture: graphs without a model carry their prompt that way.
    fn tint(&self, id: &str) -> Option<String> {
        let (length, _) = link(self.graph.get(id)?.get("inputs")?.get("color")?)?;
        let (text, _) = link(self.graph.get(length)?.get("inputs")?.get("string")?)?;
        Some(literal(self.graph, text, "value")?.as_str()?.to_owned())
    }

    fn loaded(&self, id: &str) -> Option<Subject> {
        let picture = self.pictures.load(literal(self.graph, id, "image")?.as_str()?)?;
        let mut subject = Subject::blank(u64::from(picture.width()), u64::from(picture.height()), 1);
        subject.base = Some(picture);
        Some(subject)
    }

    fn changed(&self, id: &str, class: &str, mut s: Subject) -> Subject {
        match class {
            "ImageScale" | "LatentUpscale" => {
                let (w, h) = (self.int(id, "width", 0), self.int(id, "height", 0));
                let (from_w, from_h) = (f64::from(s.width), f64::from(s.height));
                match (w, h) {
                    (0, 0) => s,
                    (0, h) => s.sized(from_w * h as f64 / from_h, h as f64),
                    (w, 0) => s.sized(w as f64, from_h * w as f64 / from_w),
                    (w, h) => s.sized(w as f64, h as f64),
                }
            }
            "ImageAddNoise" => {
                s.seed = literal(self.graph, id, "seed").and_then(Value::as_u64).or(s.seed);
                s
            }
            "ImageScaleBy" => {
                let by = self.float(id, "scale_by", 1.0);
                s.scaled(by)
            }
            "LatentUpscaleBy" => s.scaled(self.float(id, "scale_by", 1.5)).on_grid(),
            "ImageUpscaleWithModel" => {
                let factor = self.upscale_factor(id);
                s.scaled(factor)
            }
            "ImageScaleToTotalPixels" => {
                let area = self.float(id, "megapixels", 1.0) * 1024.0 * 1024.0;
                let factor = (area / (f64::from(s.width) * f64::from(s.height))).sqrt();
                s.scaled(factor)
            }
            "ImageScaleToMaxDimension" => {
                let factor = self.int(id, "largest_size", 512) as f64 / f64::from(s.width.max(s.height));
                s.scaled(factor)
            }
            "FluxKontextImageScale" => {
                let ratio = f64::from(s.width) / f64::from(s.height);
                let off = |size: &(u32, u32)| (f64::from(size.0) / f64::from(size.1) - ratio).abs();
                let best =
                    KONTEXT_SIZES.iter().min_by(|a, b| off(a).total_cmp(&off(b))).copied().unwrap_or((1024, 1024));
                s.sized(f64::from(best.0), f64::from(best.1))
            }
            "ImagePadForOutpaint" => self.padded(id, s),
            "ImageCrop" => {
                let (w, h) = (self.int(id, "width", 512), self.int(id, "height", 512));
                let (from_w, from_h) = (f64::from(s.width), f64::from(s.height));
                s.sized((w as f64).min(from_w), (h as f64).min(from_h))
            }
            "RepeatLatentBatch" => {
                s.batch = (s.batch * u32::try_from(self.int(id, "amount", 1)).unwrap_or(1)).clamp(1, MAX_BATCH);
                s
            }
            "VAEEncodeForInpaint" | "InpaintModelConditioning" => self.masked(id, s).on_grid(),
            "SetLatentNoiseMask" => self.masked(id, s),
            "VAEEncode" | "VAEEncodeTiled" | "InstructPixToPixConditioning" => s.on_grid(),
            _ => s,
        }
    }

    /// Repaints only what a mask file has white. Transparency of the picture itself is a mask already.
    fn masked(&self, id: &str, mut s: Subject) -> Subject {
        let mut at = id.to_owned();
        for _ in 0..MAX_DEPTH {
            let from = self.graph.get(&at).and_then(|node| link(node.get("inputs")?.get("mask")?));
            let Some((from, _)) = from else { return s };
            if class(self.graph, from) == "LoadImageMask" {
                s.mask = self.loaded(from).and_then(|mask| mask.base);
                return s;
            }
            at = from.to_owned();
        }
        s
    }

    /// Finds a face where faces usually are.
    fn detailed(&self, id: &str, depth: u32) -> Option<Subject> {
        let mut s = self.upstream(id, &["image"], depth)?;
        let face = |x: u32, y: u32| (19..45).contains(&x) && (12..38).contains(&y);
        let shade = |white: bool| image::Rgba(if white { [255; 4] } else { [0, 0, 0, 255] });
        s.mask = Some(Arc::new(RgbaImage::from_fn(64, 64, |x, y| shade(face(x, y)))));
        s.seed = literal(self.graph, id, "seed").and_then(Value::as_u64).or(s.seed);
        let words = link(&self.graph.get(id)?["inputs"]["positive"]).map(|(from, slot)| self.text(from, slot, 0));
        s.prompt = words.unwrap_or_default();
        Some(s)
    }

    fn padded(&self, id: &str, mut s: Subject) -> Subject {
        let side = |name: &str| self.int(id, name, 0) as f64;
        let (left, top, right, bottom) = (side("left"), side("top"), side("right"), side("bottom"));
        let (w, h) = (f64::from(s.width) + left + right, f64::from(s.height) + top + bottom);
        s.margins = [share(left, w), share(top, h), share(right, w), share(bottom, h)];
        s.sized(w, h)
    }

    fn sampled(&self, id: &str, class: &str, depth: u32) -> Option<Subject> {
        let mut s = self.upstream(id, &["latent_image"], depth)?;
        let inputs = self.graph.get(id)?.get("inputs")?;
        let guider = link(&inputs["guider"]).map(|(g, _)| g);
        let texts = guider.and_then(|g| self.graph.get(g)).map_or(inputs, |g| &g["inputs"]);
        let text = |names: &[&str]| names.iter().find_map(|n| link(&texts[*n])).map(|(n, slot)| self.text(n, slot, 0));
        // A later sampler (hires, refiner) repeats the prompt of the first; the last one wins when it has words.
        if let Some(words) = text(&["positive", "conditioning"]).filter(|t| !t.is_empty()) {
            s.prompt = words;
        }
        if let Some(words) = text(&["negative"]).filter(|t| !t.is_empty()) {
            s.negative = words;
        }
        let noise = link(&inputs["noise"]).map_or(id, |(n, _)| n);
        let seed = ["seed", "noise_seed"].iter().find_map(|n| literal(self.graph, noise, n)?.as_u64());
        s.seed = s.seed.or(seed);
        let denoise = if class == "KSampler" { self.float(id, "denoise", 1.0) } else { 1.0 };
        if s.mask.is_none() {
            s.keep *= (1.0 - share(denoise, 1.0)).clamp(0.7, 1.0);
        }
        Some(s)
    }

    /// The words behind a conditioning.
    fn text(&self, id: &str, slot: usize, depth: u32) -> String {
        let Some(inputs) = self.graph.get(id).and_then(|n| n.get("inputs")) else { return String::new() };
        if depth > MAX_DEPTH || class(self.graph, id) == "ConditioningZeroOut" {
            return String::new();
        }
        let own = ["text", "prompt", "t5xxl", "clip_l", "text_g", "text_l"]
            .iter()
            .find_map(|n| literal(self.graph, id, n)?.as_str());
        if let Some(words) = own {
            return words.to_owned();
        }
        let through: &[&str] = match slot {
            1 => &["negative", "conditioning"],
            _ => &["conditioning", "positive", "conditioning_1", "conditioning_to"],
        };
        through
            .iter()
            .find_map(|n| link(inputs.get(n)?))
            .map(|(from, slot)| self.text(from, slot, depth + 1))
            .unwrap_or_default()
    }

    fn upscale_factor(&self, id: &str) -> f64 {
        let name = self
            .graph
            .get(id)
            .and_then(|n| link(&n["inputs"]["upscale_model"]))
            .and_then(|(loader, _)| literal(self.graph, loader, "model_name")?.as_str())
            .unwrap_or("")
            .to_lowercase();
        let named = |n: u32| name.contains(&format!("x{n}")) || name.contains(&format!("{n}x"));
        [8, 4, 3, 2, 1].into_iter().find(|n| named(*n)).map_or(4.0, f64::from)
    }

    fn int(&self, id: &str, name: &str, default: u64) -> u64 {
        literal(self.graph, id, name).and_then(Value::as_u64).unwrap_or(default)
    }

    fn float(&self, id: &str, name: &str, default: f64) -> f64 {
        literal(self.graph, id, name).and_then(Value::as_f64).unwrap_or(default)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a positive side first")]
fn pixels(size: f64) -> u32 {
    size.round().clamp(1.0, f64::from(MAX_SIDE)) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a fraction needs no more precision")]
fn share(part: f64, whole: f64) -> f32 {
    (part / whole) as f32
}
