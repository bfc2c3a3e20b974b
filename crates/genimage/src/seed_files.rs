//! The shipped workflows and catalogue, embedded in the binary.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../workflows"]
#[include = "*.json"]
#[include = "*.toml"]
struct Workflows;

/// Styles of a fresh hub.
pub(crate) const STYLES: &str = include_str!("../../../config/catalogue/styles.toml");
/// Render types of a fresh hub.
pub(crate) const RENDER_TYPES: &str = include_str!("../../../config/catalogue/render_types.toml");

/// Each shipped workflow as (description in TOML, graph in JSON), in the order of their names.
pub(crate) fn workflows() -> Vec<(String, String)> {
    let text = |name: &str| {
        Workflows::get(name).map(|file| match file.data {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    let mut names: Vec<String> =
        Workflows::iter().filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names.iter().filter_map(|name| Some((text(&format!("{name}.toml"))?, text(&format!("{name}.json"))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_workflow_has_its_graph() {
        let described = Workflows::iter().filter(|name| name.ends_with(".toml")).count();
        assert!(described >= 8, "only {described} workflows are embedded");
        assert_eq!(workflows().len(), described);
    }
}
