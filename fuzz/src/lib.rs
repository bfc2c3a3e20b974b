//! What every input from outside is held to, whatever bytes it has.
//!
//! One function per door: it takes raw bytes and panics when the code behind the door breaks a promise. libFuzzer calls
//! them with bytes of its own making (`fuzz_targets/`), the tests with the seeds in `corpus/`.

mod config_import;
mod edge;
mod events;
mod image_input;
mod ui_conversion;
mod workflow_json;

pub use config_import::config_import;
pub use edge::{json_rpc, legacy_dialect};
pub use events::comfyui_events;
pub use image_input::image_input;
pub use ui_conversion::ui_conversion;
pub use workflow_json::workflow_json;

/// What takes raw bytes and panics when a promise is broken.
pub type Door = fn(&[u8]);

/// Every door by the name of its target and of its folder of seeds.
pub const TARGETS: [(&str, Door); 7] = [
    ("workflow_json", workflow_json),
    ("ui_conversion", ui_conversion),
    ("comfyui_events", comfyui_events),
    ("json_rpc", json_rpc),
    ("legacy_dialect", legacy_dialect),
    ("image_input", image_input),
    ("config_import", config_import),
];

/// The first byte, for choices, and the rest.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
