//! The flags a server was started with, as far as they matter to its callers and betray nothing.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Flags without a value.
const SWITCHES: [&str; 20] = [
    "--cpu",
    "--gpu-only",
    "--highvram",
    "--normalvram",
    "--lowvram",
    "--novram",
    "--async-offload",
    "--disable-smart-memory",
    "--deterministic",
    "--fast",
    "--force-fp16",
    "--force-fp32",
    "--fp8_e4m3fn-unet",
    "--fp8_e5m2-unet",
    "--disable-all-custom-nodes",
    "--disable-api-nodes",
    "--disable-metadata",
    "--cache-none",
    "--cache-classic",
    "--multi-user",
];
/// Flags with a value, which may be left out.
const VALUED: [&str; 7] = [
    "--preview-method",
    "--preview-size",
    "--reserve-vram",
    "--cache-lru",
    "--max-upload-size",
    "--enable-cors-header",
    "--cuda-device",
];
/// Longest value shown, in characters.
const VALUE_MAX_CHARS: usize = 100;

/// Keeps the known flags of an `argv`; anything else, and an `argv` of another shape, is left out.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut kept = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let (flag, joined) = word.split_once('=').map_or((*word, None), |(flag, value)| (flag, Some(value)));
        if SWITCHES.contains(&flag) {
            kept.push(flag.to_owned());
        } else if VALUED.contains(&flag) {
            let next = words.get(at + 1).copied().filter(|next| !next.starts_with('-'));
            kept.push(match joined.or(next) {
                Some(value) => format!("{flag} {}", value.chars().take(VALUE_MAX_CHARS).collect::<String>()),
                None => flag.to_owned(),
            });
        }
    }
    Ok(kept)
}
