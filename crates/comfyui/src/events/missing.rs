//! Model files that a server turns out not to have only when the node that loads them runs.
//!
//! Loaders of the newer kind are not checked when a prompt is posted: an absent file is accepted with 200 and
//! fails the prompt minutes later. The failure then reads like any other exception, so it is recognised by its
//! text. Pure; what is not certainly a model file is left alone, since another server would fail alike.

use super::ExecutionError;
use crate::error::MissingResource;
use crate::workflow::files;

/// The model file this failure is about, when it is about an absent one: another server may have it.
///
/// The name is the file as the graph spells it where the server says so, and without its folder where it only
/// gives a path. The input is the one by which the standard loader of that folder names it; loaders with several
/// (`clip_name1`, …) cannot be told apart.
pub fn missing_model(error: &ExecutionError) -> Option<MissingResource> {
    let class = error.exception_type.rsplit('.').next().unwrap_or_default();
    if class != "FileNotFoundError" {
        return None;
    }
    let message = error.exception_message.trim();
    let (folder, name) = by_name(message).or_else(|| by_path(message))?;
    Some(MissingResource::ModelFile { input: files::input_of_folder(folder).to_owned(), name: name.to_owned() })
}

/// `Model in folder 'checkpoints' with filename 'sub/a.safetensors' not found.`, as all standard loaders say it.
fn by_name(message: &str) -> Option<(&str, &str)> {
    let (folder, rest) = message.split_once("Model in folder '")?.1.split_once("' with filename '")?;
    let (name, _) = rest.split_once("' not found")?;
    (!name.is_empty()).then_some((folder, name))
}

/// `[Errno 2] No such file or directory: '/data/models/vae/a.safetensors'`, as the libraries below them say it.
fn by_path(message: &str) -> Option<(&str, &str)> {
    let path = message.split_once("No such file or directory: ")?.1;
    let path = match path.chars().next()? {
        quote @ ('\'' | '"') => path[1..].split(quote).next()?,
        _ => path.split_whitespace().next()?,
    };
    // Python shows the backslashes of a Windows path doubled, which leaves empty parts.
    let mut parts = path.rsplit(['/', '\\']).filter(|part| !part.is_empty());
    let name = parts.next()?;
    // The folder right below `models` says what sort of file it is; there may be more folders between them.
    let mut folder = "";
    let below_models = parts.any(|part| {
        let found = part == "models";
        if !found {
            folder = part;
        }
        found
    });
    let folder = if below_models { folder } else { "" };
    files::has_model_extension(name).then_some((folder, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(exception_type: &str, exception_message: &str) -> ExecutionError {
        ExecutionError {
            prompt_id: String::new(),
            node_id: "2".to_owned(),
            node_type: "UpscaleModelLoader".to_owned(),
            exception_type: exception_type.to_owned(),
            exception_message: exception_message.to_owned(),
        }
    }

    #[test]
    fn absent_files_are_named_with_the_input_of_their_loader() {
        for (message, input, name) in [
            (
                "Model in folder 'upscale_models' with filename 'RealESRGAN_x4plus.pth' not found.",
                "model_name",
                "RealESRGAN_x4plus.pth",
            ),
            (
                "Model in folder 'checkpoints' with filename 'SDXL\\it's new.safetensors' not found.\n",
                "ckpt_name",
                "SDXL\\it's new.safetensors",
            ),
            (
                "Model in folder 'clip' with filename 'clip_l.safetensors' not found in any of: /data/models/clip",
                "clip_name",
                "clip_l.safetensors",
            ),
            ("Model in folder 'sams' with filename 'sam_vit_b.pth' not found.", "sams", "sam_vit_b.pth"),
            ("[Errno 2] No such file or directory: '/data/models/vae/ae.safetensors'", "vae_name", "ae.safetensors"),
            (
                "No such file or directory: \"C:\\\\ComfyUI\\\\models\\\\checkpoints\\\\xl\\\\base.safetensors\"",
                "ckpt_name",
                "base.safetensors",
            ),
            ("No such file or directory: /mnt/pool/base.ckpt", "model", "base.ckpt"),
        ] {
            let expected = MissingResource::ModelFile { input: input.to_owned(), name: name.to_owned() };
            assert_eq!(missing_model(&error("FileNotFoundError", message)), Some(expected), "{message}");
        }
    }

    #[test]
    fn other_failures_are_left_alone() {
        for (kind, message) in [
            ("RuntimeError", "Model in folder 'vae' with filename 'ae.safetensors' not found."),
            ("FileNotFoundError", "[Errno 2] No such file or directory: '/data/input/hub/in.png'"),
            ("FileNotFoundError", "[Errno 2] No such file or directory: 'ffmpeg'"),
            ("FileNotFoundError", "[Errno 2] No such file or directory: ''"),
            ("FileNotFoundError", "Model in folder 'vae' with filename '' not found."),
            ("FileNotFoundError", "Model in folder 'vae"),
            ("FileNotFoundError", "No such file or directory: "),
            ("FileNotFoundError", ""),
            ("", "out of memory"),
        ] {
            assert_eq!(missing_model(&error(kind, message)), None, "{kind}: {message}");
        }
    }
}
