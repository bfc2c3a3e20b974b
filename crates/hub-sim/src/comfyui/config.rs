//! How a double is set up: version flavour, timings, model files, front door.
//!
//! Owns defaults and the reading of a version number; decides nothing at run time.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the double behaves when nothing goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComfyConfig {
    /// The version it claims and whose rules it follows, such as `"0.33.0"` (default) or `"0.3.64"`.
    pub version: String,
    /// Run time of all uncached samplers of a prompt together, or of an image graph without sampler, in
    /// milliseconds. Default 200.
    pub run_ms: u64,
    /// Time to load model files when another set is resident, in milliseconds. Default 0.
    pub load_ms: u64,
    /// Divides `run_ms` and `load_ms`; 2.0 is a machine twice as fast. Default 1.0.
    pub speed: f64,
    /// Spread of run times as a fraction of them, 0.0 to 1.0, drawn from `seed`. Default 0.0.
    pub jitter: f64,
    /// Model files by folder. Default: the usual public ones.
    pub models: Models,
    /// What guards the door. Default: nothing.
    pub auth: Option<SimAuth>,
    /// Sends preview images for every prompt, as `--preview-method auto` does. Default: only when a prompt asks.
    pub preview: bool,
    /// Video memory the one device reports, bytes. Default 24 GiB.
    pub vram_total: u64,
    /// Video memory that it takes while model files are loaded, bytes. Default half of `vram_total`.
    pub vram_models: Option<u64>,
    /// Size of every model file, as `/experiment/models/{folder}` tells it, bytes. Default: it is not told.
    pub model_bytes: Option<u64>,
    /// Watermark of the pictures; `None` draws no band at all. Default `SIMULATED`.
    pub label: Option<String>,
    /// Seeds run-time jitter and temporary names. Default 0.
    pub seed: u64,
    /// Largest body of any request, bytes. Default 100 MiB.
    pub max_upload_bytes: u64,
    /// Serves everything below this path, such as `"/gpu1"`. Default: the root.
    pub path_prefix: Option<String>,
    /// Time between `execution_success` and the history entry, in milliseconds. Default 2.
    pub history_gap_ms: u64,
}

impl Default for ComfyConfig {
    fn default() -> ComfyConfig {
        ComfyConfig {
            version: "0.33.0".to_owned(),
            run_ms: 200,
            load_ms: 0,
            speed: 1.0,
            jitter: 0.0,
            models: Models::default(),
            auth: None,
            preview: false,
            vram_total: 24 << 30,
            vram_models: None,
            model_bytes: None,
            label: Some("SIMULATED".to_owned()),
            seed: 0,
            max_upload_bytes: 100 << 20,
            path_prefix: None,
            history_gap_ms: 2,
        }
    }
}

/// Names of model files by folder, as the loaders list them. The default covers the usual public files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// Models that come whole: with their text encoder and VAE.
    pub checkpoints: Vec<String>,
    /// Models without text encoder and VAE.
    pub diffusion_models: Vec<String>,
    /// What reads prompts for the models that come alone.
    pub text_encoders: Vec<String>,
    /// What turns latents into pictures and back.
    pub vae: Vec<String>,
    /// Additions to a model.
    pub loras: Vec<String>,
    /// What makes pictures larger.
    pub upscale_models: Vec<String>,
    /// What reads pictures for style models.
    pub clip_vision: Vec<String>,
    /// What takes the style of a picture over.
    pub style_models: Vec<String>,
    /// What holds a model to the shape of a picture.
    pub controlnet: Vec<String>,
    /// Learned words of prompts. Default: none.
    pub embeddings: Vec<String>,
}

impl Default for Models {
    fn default() -> Models {
        let list = |names: &[&str]| names.iter().map(|n| format!("{n}.safetensors")).collect();
        Models {
            checkpoints: list(&[
                "512-inpainting-ema",
                "flux1-schnell-fp8",
                "instruct-pix2pix-00-22000",
                "sd3.5_large_fp8_scaled",
                "sd_xl_base_1.0",
                "sd_xl_refiner_1.0",
                "v1-5-pruned-emaonly-fp16",
            ]),
            diffusion_models: list(&[
                "flux-2-klein-4b-fp8",
                "flux1-dev",
                "flux1-dev-kontext_fp8_scaled",
                "flux1-fill-dev",
                "qwen_image_edit_2509_fp8_e4m3fn",
                "qwen_image_fp8_e4m3fn",
                "z_image_turbo_bf16",
            ]),
            text_encoders: list(&[
                "clip_g",
                "clip_l",
                "qwen_2.5_vl_7b_fp8_scaled",
                "qwen_3_4b",
                "t5xxl_fp16",
                "t5xxl_fp8_e4m3fn_scaled",
            ]),
            vae: list(&["ae", "flux2-vae", "qwen_image_vae", "sdxl_vae", "vae-ft-mse-840000-ema-pruned"]),
            loras: list(&[
                "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16",
                "Qwen-Image-Lightning-4steps-V1.0",
                "Qwen-Image-Lightning-8steps-V1.0",
                "add_detail",
                "watercolor_style",
            ]),
            upscale_models: list(&["4x-UltraSharp", "RealESRGAN_x2plus", "RealESRGAN_x4plus"]),
            clip_vision: list(&["sigclip_vision_patch14_384"]),
            style_models: list(&["flux1-redux-dev"]),
            controlnet: list(&["control_v11p_sd15_canny_fp16", "controlnet-union-sdxl-1.0"]),
            embeddings: Vec::new(),
        }
    }
}

impl Models {
    /// No files at all.
    pub fn none() -> Models {
        Models {
            checkpoints: Vec::new(),
            diffusion_models: Vec::new(),
            text_encoders: Vec::new(),
            vae: Vec::new(),
            loras: Vec::new(),
            upscale_models: Vec::new(),
            clip_vision: Vec::new(),
            style_models: Vec::new(),
            controlnet: Vec::new(),
            embeddings: Vec::new(),
        }
    }

    /// The files of a folder; the legacy names `unet` and `clip` work. Unknown folders are empty.
    pub fn folder(&self, name: &str) -> &[String] {
        match name {
            "checkpoints" => &self.checkpoints,
            "diffusion_models" | "unet" => &self.diffusion_models,
            "text_encoders" | "clip" => &self.text_encoders,
            "vae" => &self.vae,
            "loras" => &self.loras,
            "upscale_models" => &self.upscale_models,
            "clip_vision" => &self.clip_vision,
            "style_models" => &self.style_models,
            "controlnet" => &self.controlnet,
            "embeddings" => &self.embeddings,
            _ => &[],
        }
    }

    /// The same lists without these files.
    pub(crate) fn without(mut self, names: &[String]) -> Models {
        if names.is_empty() {
            return self;
        }
        let names: BTreeSet<&String> = names.iter().collect();
        for list in [
            &mut self.checkpoints,
            &mut self.diffusion_models,
            &mut self.text_encoders,
            &mut self.vae,
            &mut self.loras,
            &mut self.upscale_models,
            &mut self.clip_vision,
            &mut self.style_models,
            &mut self.controlnet,
            &mut self.embeddings,
        ] {
            list.retain(|n| !names.contains(n));
        }
        self
    }
}

/// What a caller must present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SimAuth {
    /// `Authorization: Bearer TOKEN`, else 401.
    Bearer {
        /// The token, in plain text.
        token: String,
    },
    /// HTTP basic, else 401 with a challenge.
    Basic {
        /// The name.
        username: String,
        /// The password, in plain text.
        password: String,
    },
    /// A header with this exact value, else 401.
    Header {
        /// The header's name, in any case.
        name: String,
        /// Its value.
        value: String,
    },
    /// The ComfyUI-Login extension: bearer or `?token=` with the token, or the cookie of `POST /login`.
    ComfyLogin {
        /// What programs present.
        token: String,
        /// What people type at `POST /login`.
        password: String,
        /// Strangers may look, queue and upload; every other POST is answered `{}` and not done. Default: they may
        /// not.
        #[serde(default)]
        guest: bool,
        /// The value of `--enable-cors-header`: a token counts only beside this very `Origin`. Default: the server
        /// runs without it.
        #[serde(default)]
        cors: Option<String>,
    },
}

impl SimAuth {
    /// The ComfyUI-Login extension as it comes.
    pub fn login(token: impl Into<String>, password: impl Into<String>) -> SimAuth {
        SimAuth::ComfyLogin { token: token.into(), password: password.into(), guest: false, cors: None }
    }
}

/// A text that is no front door as a command line has it; the message says which there are.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is none of bearer:TOKEN, basic:USER:PASSWORD, api-key:HEADER:VALUE, login:TOKEN[:PASSWORD], \
     guest:TOKEN[:PASSWORD]"
)]
pub struct InvalidAuth(String);

impl FromStr for SimAuth {
    type Err = InvalidAuth;

    /// Reads a front door as it is written on a command line. Without a password that of a login is `password`.
    ///
    /// # Errors
    /// [`InvalidAuth`] for a kind that there is not, and for one that says too little.
    fn from_str(text: &str) -> Result<SimAuth, InvalidAuth> {
        let invalid = || InvalidAuth(text.to_owned());
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(invalid)?;
        let pair = || rest.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).ok_or_else(invalid);
        match kind {
            "bearer" => Ok(SimAuth::Bearer { token: rest.to_owned() }),
            "basic" => pair().map(|(username, password)| SimAuth::Basic { username, password }),
            "api-key" => pair().map(|(name, value)| SimAuth::Header { name, value }),
            "login" | "guest" => {
                let (token, password) = pair().unwrap_or_else(|_| (rest.to_owned(), "password".to_owned()));
                Ok(SimAuth::ComfyLogin { token, password, guest: kind == "guest", cors: None })
            }
            _ => Err(invalid()),
        }
    }
}

/// A version number whose order decides which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32, u32);

impl Version {
    /// Reads `1.2.3`; what is missing or odd counts as 0.
    pub(crate) fn read(text: &str) -> Version {
        let mut parts = text.split('.').map(|p| p.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Version(next(), next(), next())
    }

    /// True when this version was released after the given one.
    pub(crate) fn after(self, major: u32, minor: u32, patch: u32) -> bool {
        self > Version(major, minor, patch)
    }
}
