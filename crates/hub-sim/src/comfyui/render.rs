//! Draws the pictures: a landscape from the hash of prompt and seed, or the input picture, with a band that says
//! what was asked and that nothing was really generated.
//!
//! Owns pixels and PNG bytes. Deterministic: the same subject gives the same bytes. Built for speed: one pass of
//! table look-ups per pixel and the fastest PNG settings.

mod band;

use image::RgbaImage;
use serde_json::Value;

use super::pyjson;
use super::trace::Subject;

/// An RGB picture, 3 bytes per pixel, rows from the top.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgb: Vec<u8>,
}

/// The text chunks of a PNG.
pub(crate) struct Metadata<'a> {
    /// The prompt in API format.
    pub(crate) prompt: &'a Value,
    /// `extra_pnginfo`: one chunk per member.
    pub(crate) extra: Option<&'a Value>,
}

/// Draws one picture of the batch.
pub(crate) fn draw(subject: &Subject, index: u32, label: Option<&str>) -> Canvas {
    let mut canvas = match &subject.base {
        Some(base) => from_picture(base, subject, index),
        None => landscape(subject.width as usize, subject.height as usize, seed_of(subject, index)),
    };
    if let Some(label) = label {
        band::write(&mut canvas, subject, index, label);
    }
    canvas
}

/// A PNG with the metadata the real server embeds.
pub(crate) fn png(canvas: &Canvas, metadata: Option<&Metadata<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(canvas.rgb.len() / 4 + 4096);
    let written = encode(canvas, metadata, &mut out);
    written.expect("an RGB buffer of the right size encodes into memory");
    out
}

/// A JPEG preview of the run at `done` (0.0 to 1.0): the picture comes out of noise.
pub(crate) fn preview(subject: &Subject, done: f32) -> Vec<u8> {
    const SIDE: u32 = 256;
    let longest = subject.width.max(subject.height).max(1);
    let mut small = subject.clone();
    small.width = (subject.width * SIDE / longest).max(1);
    small.height = (subject.height * SIDE / longest).max(1);
    let mut canvas = draw(&small, 0, None);
    let mut noise = Noise::new(seed_of(subject, 0));
    let keep = to_byte(done * 255.0);
    for pixel in &mut canvas.rgb {
        let grain = noise.byte();
        *pixel = mix(grain, *pixel, keep);
    }
    let mut out = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80);
    let written = image::ImageEncoder::write_image(
        encoder,
        &canvas.rgb,
        small.width,
        small.height,
        image::ExtendedColorType::Rgb8,
    );
    written.expect("an RGB buffer of the right size encodes into memory");
    out
}

fn encode(canvas: &Canvas, metadata: Option<&Metadata<'_>>, out: &mut Vec<u8>) -> Result<(), png::EncodingError> {
    let side = |n: usize| u32::try_from(n).expect("sides are limited");
    let mut encoder = png::Encoder::new(out, side(canvas.width), side(canvas.height));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fastest);
    encoder.set_filter(png::Filter::Up);
    if let Some(metadata) = metadata {
        encoder.add_text_chunk("prompt".to_owned(), pyjson::dump(metadata.prompt))?;
        for (name, value) in metadata.extra.and_then(Value::as_object).into_iter().flatten() {
            encoder.add_text_chunk(name.clone(), pyjson::dump(value))?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.rgb)
}

/// The number a picture is drawn from.
fn seed_of(subject: &Subject, index: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for b in bytes {
            hash = (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    eat(subject.prompt.as_bytes());
    eat(&subject.seed.unwrap_or(0).to_le_bytes());
    eat(&index.to_le_bytes());
    hash
}

/// A small fast generator (splitmix64).
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// 0.0 to 1.0.
    fn unit(&mut self) -> f32 {
        f32::from(u16::try_from(self.next() >> 48).expect("16 bits")) / 65535.0
    }
}

/// Sky, sun and four ranges of hills.
fn landscape(width: usize, height: usize, seed: u64) -> Canvas {
    const LAYERS: usize = 4;
    let mut noise = Noise::new(seed);
    let hue = noise.unit();
    let sky_top = colour(hue, 0.55, 0.25 + 0.3 * noise.unit());
    let sky_low = colour(hue + 0.08 + 0.3 * noise.unit(), 0.65, 0.95);
    let ground: Vec<[u8; 3]> =
        (0..LAYERS).map(|i| colour(hue + 0.45 + 0.04 * i as f32, 0.5, 0.75 - 0.17 * i as f32)).collect();
    let hills: Vec<Vec<usize>> =
        (0..LAYERS).map(|i| ridge(width, height, 0.42 + 0.15 * i as f32, &mut noise)).collect();
    let sun = Sun::new(width, height, &mut noise, hue);
    let mut rgb = vec![0_u8; width * height * 3];
    for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let share = to_byte(255.0 * (y as f32 / (height as f32 * 0.8)).min(1.0));
        let sky: [u8; 3] = std::array::from_fn(|c| mix(sky_top[c], sky_low[c], share));
        for pixel in row.chunks_exact_mut(3) {
            pixel.copy_from_slice(&sky);
        }
        sun.paint(row, y);
        for (hill, paint) in hills.iter().zip(&ground) {
            for (pixel, top) in row.chunks_exact_mut(3).zip(hill) {
                if y >= *top {
                    pixel.copy_from_slice(paint);
                }
            }
        }
    }
    Canvas { width, height, rgb }
}

struct Sun {
    x: f32,
    y: f32,
    radius: f32,
    paint: [u8; 3],
}

impl Sun {
    fn new(width: usize, height: usize, noise: &mut Noise, hue: f32) -> Sun {
        let short = width.min(height) as f32;
        Sun {
            x: width as f32 * (0.2 + 0.6 * noise.unit()),
            y: height as f32 * (0.15 + 0.25 * noise.unit()),
            radius: short * (0.06 + 0.08 * noise.unit()),
            paint: colour(hue + 0.12, 0.25, 1.0),
        }
    }

    fn paint(&self, row: &mut [u8], y: usize) {
        let dy = y as f32 - self.y;
        let half = (self.radius * self.radius - dy * dy).max(0.0).sqrt();
        if half < 1.0 {
            return;
        }
        let width = row.len() / 3;
        let (from, to) = (index_of(self.x - half, width), index_of(self.x + half, width));
        for pixel in row[from * 3..to * 3].chunks_exact_mut(3) {
            pixel.copy_from_slice(&self.paint);
        }
    }
}

/// The top row of a range of hills for every column.
fn ridge(width: usize, height: usize, level: f32, noise: &mut Noise) -> Vec<usize> {
    let waves: Vec<(f32, f32, f32)> = (1..=3)
        .map(|i| {
            let i = i as f32;
            ((2.0 + 4.0 * noise.unit()) * i, 6.3 * noise.unit(), 0.07 / i)
        })
        .collect();
    (0..width)
        .map(|x| {
            let at = x as f32 / width as f32;
            let lift: f32 = waves.iter().map(|(f, phase, size)| (at * f + phase).sin() * size).sum();
            index_of((level + lift) * height as f32, height)
        })
        .collect()
}

/// The input picture, resized, faded and placed between its margins.
fn from_picture(base: &RgbaImage, subject: &Subject, index: u32) -> Canvas {
    let (width, height) = (subject.width as usize, subject.height as usize);
    let mut canvas = landscape(width, height, seed_of(subject, index));
    let [left, top, right, bottom] = subject.margins;
    let (x0, x1) = (index_of(left * width as f32, width), index_of((1.0 - right) * width as f32, width));
    let (y0, y1) = (index_of(top * height as f32, height), index_of((1.0 - bottom) * height as f32, height));
    let (w, h) = (x1.saturating_sub(x0).max(1), y1.saturating_sub(y0).max(1));
    let (from_w, from_h) = (base.width() as usize, base.height() as usize);
    let keep = to_byte(subject.keep * 255.0);
    let columns: Vec<usize> = (0..w).map(|x| (x * from_w / w) * 4).collect();
    let pixels = base.as_raw();
    let mask = subject.mask.as_deref();
    for (y, row) in canvas.rgb.chunks_exact_mut(width * 3).enumerate().skip(y0).take(h) {
        let source = &pixels[((y - y0) * from_h / h) * from_w * 4..];
        let repaint = mask.map(|mask| (mask, (y - y0) * mask.height() as usize / h * mask.width() as usize));
        for (x, (pixel, at)) in row[x0 * 3..].chunks_exact_mut(3).zip(&columns).enumerate() {
            let white =
                repaint.is_some_and(|(mask, line)| mask.as_raw()[(line + x * mask.width() as usize / w) * 4] > 127);
            // Transparent parts are what an inpainting repaints, and what is white in its mask.
            let shown = if white || source[at + 3] < 128 { 0 } else { keep };
            for c in 0..3 {
                pixel[c] = mix(pixel[c], source[at + c], shown);
            }
        }
    }
    canvas
}

/// From `a` (0) to `b` (255).
fn mix(a: u8, b: u8, share: u8) -> u8 {
    let (a, b, share) = (u32::from(a), u32::from(b), u32::from(share));
    u8::try_from((a * (255 - share) + b * share) / 255).unwrap_or(u8::MAX)
}

/// A colour of the wheel; hue wraps, the others are 0.0 to 1.0.
fn colour(hue: f32, saturation: f32, value: f32) -> [u8; 3] {
    [0.0_f32, 1.0 / 3.0, 2.0 / 3.0].map(|shift| {
        let wave = 0.5 + 0.5 * ((hue + shift) * std::f32::consts::TAU).cos();
        to_byte(255.0 * value * (1.0 - saturation + saturation * wave))
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
fn to_byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
fn index_of(at: f32, limit: usize) -> usize {
    at.clamp(0.0, limit as f32) as usize
}
