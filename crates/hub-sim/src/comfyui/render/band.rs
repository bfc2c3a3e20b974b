//! The band at the bottom: the watermark, size, seed and prompt, in an 8×8 font.

use font8x8::UnicodeFonts;

use super::Canvas;
use crate::comfyui::trace::Subject;

/// Pixels of a letter.
const LETTER: usize = 8;
/// Lines of prompt at most.
const MAX_PROMPT_LINES: usize = 4;

/// Writes the band over the bottom of the picture.
pub(super) fn write(canvas: &mut Canvas, subject: &Subject, index: u32, label: &str) {
    let scale = if canvas.width >= 320 { 2 } else { 1 };
    let step = LETTER * scale;
    let margin = step / 2;
    let columns = canvas.width.saturating_sub(2 * margin) / step;
    let room = canvas.height / 2 / (step + scale);
    if columns < 4 || room == 0 {
        return;
    }
    let lines = lines(subject, index, label, columns, room);
    let pitch = step + scale;
    let band = (lines.len() * pitch + 2 * margin).min(canvas.height);
    let top = canvas.height - band;
    for byte in &mut canvas.rgb[top * canvas.width * 3..] {
        *byte /= 4;
    }
    for (row, line) in lines.iter().enumerate() {
        let paint = if row == 0 { [255, 214, 90] } else { [240, 240, 240] };
        for (column, letter) in line.chars().enumerate() {
            stamp(canvas, letter, margin + column * step, top + margin + row * pitch, scale, paint);
        }
    }
}

fn lines(subject: &Subject, index: u32, label: &str, columns: usize, room: usize) -> Vec<String> {
    let seed = subject.seed.map(|seed| format!(" seed {seed}")).unwrap_or_default();
    let place = if subject.batch > 1 { format!(" #{}", index + 1) } else { String::new() };
    let head = format!("{label} {}x{}{seed}{place}", subject.width, subject.height);
    let mut lines = wrap(&head, columns);
    lines.extend(wrap(&subject.prompt, columns).into_iter().take(MAX_PROMPT_LINES));
    if !subject.negative.is_empty() {
        lines.extend(wrap(&format!("not: {}", subject.negative), columns).into_iter().take(1));
    }
    lines.truncate(room);
    lines
}

/// Breaks at spaces; longer words are cut.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|l| l.chars().count() + 1 + word.chars().count() <= columns);
        match lines.last_mut() {
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.chars().take(columns).collect()),
        }
    }
    lines
}

fn stamp(canvas: &mut Canvas, letter: char, x: usize, y: usize, scale: usize, paint: [u8; 3]) {
    let Some(glyph) = glyph(letter) else { return };
    for (row, bits) in glyph.iter().enumerate() {
        for sub in 0..scale {
            let line = y + row * scale + sub;
            if line >= canvas.height {
                return;
            }
            for column in (0..LETTER).filter(|c| bits & (1 << c) != 0) {
                let at = (line * canvas.width + x + column * scale) * 3;
                for pixel in canvas.rgb[at..at + scale * 3].chunks_exact_mut(3) {
                    pixel.copy_from_slice(&paint);
                }
            }
        }
    }
}

fn glyph(letter: char) -> Option<[u8; 8]> {
    font8x8::BASIC_FONTS
        .get(letter)
        .or_else(|| font8x8::LATIN_FONTS.get(letter))
        .or_else(|| font8x8::GREEK_FONTS.get(letter))
        .or_else(|| font8x8::BASIC_FONTS.get('?'))
}
