//! Where the model files of the shipped workflows come from, for people whose servers lack one.

use hub_core::error::{ErrorCode, UserError};
use serde::Deserialize;

const MODELS: &str = include_str!("../../../config/catalogue/models.toml");

/// Where a model file comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// The file, as workflows name it; may begin with folders.
    pub name: String,
    /// The folder below ComfyUI's `models/` that it belongs into.
    pub folder: String,
    /// About its size, in units of 10⁹ bytes.
    pub size_gb: f64,
    /// A repository on Hugging Face, as `owner/name`.
    pub source: String,
    /// What else a person should know.
    #[serde(default)]
    pub note: String,
}

#[derive(Deserialize)]
struct ModelsFile {
    models: Vec<ModelSource>,
}

/// All that are known.
///
/// # Errors
/// `internal` when the shipped list does not read.
pub(crate) fn known() -> Result<Vec<ModelSource>, UserError> {
    let file: ModelsFile = toml::from_str(MODELS).map_err(|error| {
        UserError::new(ErrorCode::Internal, format!("The hub's own list of models cannot be read: {error}"))
    })?;
    Ok(file.models)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[derive(Deserialize)]
    struct About {
        needs: Needs,
    }

    #[derive(Deserialize)]
    struct Needs {
        models: Vec<Need>,
    }

    #[derive(Deserialize)]
    struct Need {
        folder: String,
        name: String,
    }

    #[test]
    fn every_model_of_a_shipped_workflow_has_a_source() {
        let known: BTreeSet<(String, String)> =
            known().expect("reads").into_iter().map(|model| (model.folder, model.name)).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workflows");
        let mut looked_at = 0;
        for entry in fs::read_dir(folder).expect("workflows").map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "toml") {
                let text = fs::read_to_string(entry.path()).expect("text");
                let about: About = toml::from_str(&text).expect("a description");
                for need in about.needs.models {
                    looked_at += 1;
                    let pair = (need.folder, need.name);
                    assert!(known.contains(&pair), "{pair:?} of {} has no source", entry.path().display());
                }
            }
        }
        assert!(looked_at > 10, "only {looked_at}");
    }
}
