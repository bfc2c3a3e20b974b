//! What nodes produced: files and texts, whatever key a node chose to put them under.
//!
//! Rule: in each array of a node's output, an object with a `filename` is a file, a string is a text. What a
//! file *is* follows from its extension, never from the key (videos come under `images`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one node produced, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeOutput(pub Vec<Output>);

/// One thing one node produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The node's id in the graph that was posted.
    pub node_id: String,
    /// The key it came under: `images`, `audio`, `gifs`, `text`, …
    pub key: String,
    /// The thing.
    pub item: OutputItem,
}

/// A file to fetch, or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputItem {
    /// A file; see [`crate::Client::view`].
    File(OutputFile),
    /// Text shown by a node.
    Text(String),
}

/// Where a produced file lies on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutputFile {
    /// File name.
    pub filename: String,
    /// Folder below the root that `kind` names.
    #[serde(default)]
    pub subfolder: String,
    /// Which root it lies under.
    #[serde(rename = "type", default)]
    pub kind: FileKind,
    /// What it is, by its extension.
    pub media: Media,
    /// MIME-like format some video nodes give, such as `video/h264-mp4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Root folder of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Kept results.
    #[default]
    Output,
    /// Previews, wiped when the server starts.
    Temp,
    /// Uploaded inputs.
    Input,
}

impl FileKind {
    /// As the server spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Temp => "temp",
            Self::Input => "input",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "temp" => Self::Temp,
            "input" => Self::Input,
            _ => Self::Output,
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// A picture, still or animated.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Latents, meshes, anything else.
    Other,
}

impl Media {
    /// Judges by the extension, case-insensitively.
    pub fn of(filename: &str) -> Self {
        let extension = filename.rsplit_once('.').map(|(_, ext)| ext.to_ascii_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "png" | "jpg" | "jpeg" | "webp" | "gif" | "bmp" | "tif" | "tiff" | "avif" | "jxl" | "apng" | "exr" => {
                Self::Image
            }
            "mp4" | "webm" | "mkv" | "mov" | "avi" | "m4v" => Self::Video,
            "flac" | "mp3" | "opus" | "ogg" | "wav" | "m4a" | "aac" => Self::Audio,
            _ => Self::Other,
        }
    }
}

impl NodeOutput {
    /// Reads the `output` of an `executed` event, or one value of `history.outputs`.
    pub fn parse(node_id: &str, output: &Map<String, Value>) -> Self {
        let mut found = Vec::new();
        for (key, value) in output {
            let Some(items) = value.as_array() else { continue };
            for item in items {
                let item = match item {
                    Value::Object(object) => parse_file(object).map(OutputItem::File),
                    Value::String(text) => Some(OutputItem::Text(text.clone())),
                    _ => None,
                };
                found.extend(item.map(|item| Output { node_id: node_id.to_owned(), key: key.clone(), item }));
            }
        }
        Self(found)
    }
}

fn parse_file(object: &Map<String, Value>) -> Option<OutputFile> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let filename = text("filename").filter(|name| !name.is_empty())?;
    Some(OutputFile {
        filename: filename.to_owned(),
        subfolder: text("subfolder").unwrap_or_default().to_owned(),
        kind: FileKind::parse(text("type").unwrap_or_default()),
        media: Media::of(filename),
        format: text("format").map(str::to_owned),
    })
}
