//! What can truly be said about a picture without a model: its size and its average colour.
//!
//! Owns decoding and colour names. Never guesses at what is in it.

/// Names and values of colours; the nearest one is used.
const COLOURS: [(&str, &str, [u8; 3]); 16] = [
    ("black", "noir", [0, 0, 0]),
    ("dark grey", "gris foncé", [64, 64, 64]),
    ("grey", "gris", [128, 128, 128]),
    ("light grey", "gris clair", [192, 192, 192]),
    ("white", "blanc", [255, 255, 255]),
    ("red", "rouge", [220, 20, 30]),
    ("dark red", "rouge sombre", [110, 10, 20]),
    ("orange", "orange", [250, 140, 20]),
    ("brown", "brun", [120, 75, 35]),
    ("yellow", "jaune", [245, 225, 60]),
    ("green", "vert", [40, 160, 50]),
    ("dark green", "vert sombre", [15, 75, 30]),
    ("cyan", "cyan", [50, 200, 210]),
    ("blue", "bleu", [40, 80, 210]),
    ("dark blue", "bleu nuit", [15, 25, 90]),
    ("purple", "violet", [140, 50, 180]),
];

/// Facts about one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImageFacts {
    width_px: u32,
    height_px: u32,
    average: [u8; 3],
}

impl ImageFacts {
    /// `None` when it is no picture that can be decoded.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let picture = image::load_from_memory(bytes).ok()?.to_rgb8();
        let mut sums = [0_u64; 3];
        for pixel in picture.pixels() {
            for (sum, channel) in sums.iter_mut().zip(pixel.0) {
                *sum += u64::from(channel);
            }
        }
        let count = u64::from(picture.width()) * u64::from(picture.height());
        let average = sums.map(|sum| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX));
        Some(Self { width_px: picture.width(), height_px: picture.height(), average })
    }

    pub(super) fn sentence(&self) -> String {
        format!(
            "A {} image of {} × {} pixels, dominated by {} tones (average colour {}).",
            self.shape().0,
            self.width_px,
            self.height_px,
            self.colour().0,
            self.hex()
        )
    }

    pub(super) fn sentence_in_french(&self) -> String {
        format!(
            "Une image {} de {} × {} pixels, dominée par des tons de {} (couleur moyenne {}).",
            self.shape().1,
            self.width_px,
            self.height_px,
            self.colour().1,
            self.hex()
        )
    }

    pub(super) fn keywords(&self) -> String {
        format!(
            "{} format, {}x{}, {} tones, average colour {}",
            self.shape().0,
            self.width_px,
            self.height_px,
            self.colour().0,
            self.hex()
        )
    }

    pub(super) fn keywords_in_french(&self) -> String {
        format!(
            "format {}, {}x{}, tons {}, couleur moyenne {}",
            self.shape().1,
            self.width_px,
            self.height_px,
            self.colour().1,
            self.hex()
        )
    }

    fn shape(&self) -> (&'static str, &'static str) {
        match self.width_px.cmp(&self.height_px) {
            std::cmp::Ordering::Greater => ("landscape", "paysage"),
            std::cmp::Ordering::Equal => ("square", "carré"),
            std::cmp::Ordering::Less => ("portrait", "portrait"),
        }
    }

    fn colour(&self) -> (&'static str, &'static str) {
        let distance = |value: &[u8; 3]| -> u32 {
            value.iter().zip(self.average).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let nearest = COLOURS.iter().min_by_key(|(_, _, value)| distance(value));
        nearest.map_or(("grey", "gris"), |(english, french, _)| (*english, *french))
    }

    fn hex(&self) -> String {
        let [red, green, blue] = self.average;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}
