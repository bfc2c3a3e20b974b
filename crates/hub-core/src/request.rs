//! What a caller asks for, parsed into types that cannot be wrong.
//!
//! Every edge (MCP, JSON-RPC, the JSON API, the pages, the command line) hands its arguments to
//! [`ToolCall::parse`], so a fault is told in the same words everywhere. Names that only the
//! catalogue knows (styles, render types) are checked by the engine when it plans.

mod area;
mod arguments;
mod image_ref;
mod prompt;
mod size;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use area::{Area, Part, PixelBox, Region};
pub use image_ref::ImageRef;
pub use prompt::{GeneratedPrompt, PromptRequest, PromptStyle};
pub use size::{AspectRatio, ImageSize, SizeChoice};

pub use arguments::parse_idempotency_key;

use self::arguments::{Arguments, missing};
use crate::{
    catalogue::Mode,
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId, WorkflowId},
    limits,
    placement::Wish,
    suggest,
    trace::TraceParent,
};

/// Tools that make jobs, by their public names.
pub const JOB_TOOLS: [&str; 6] =
    ["generate_image", "upscale_image", "edit_image", "detail_image", "describe_image", "generate_prompt"];

/// Which styles to apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StyleChoice {
    /// The catalogue's default styles.
    #[default]
    Defaults,
    /// Exactly these; an empty list means none.
    Named(Vec<String>),
}

/// A request for pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// Which tool.
    pub mode: Mode,
    /// What to draw; required where the mode generates or edits.
    pub prompt: Option<String>,
    /// What to avoid.
    pub negative_prompt: Option<String>,
    /// Styles.
    pub styles: StyleChoice,
    /// Render type by name; `None` = a style's preference, else the mode's default.
    pub render_type: Option<String>,
    /// Size.
    pub size: SizeChoice,
    /// Seed; `None` = random.
    pub seed: Option<u64>,
    /// Whether to have the prompt rewritten; `None` = when an LLM is configured.
    pub enhance: Option<bool>,
    /// Denoise strength, 0–1.
    pub denoise: Option<f64>,
    /// Input picture; required except for generation.
    pub input: Option<ImageRef>,
    /// What of the input picture is redrawn; only where details are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// Pictures to make, 1–16, each with a seed of its own; [`AS_THERE`] until the job that a call starts from says
    /// it. Left out where it is 1, so that what was stored before there was a choice reads, and digests, as ever.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub n: u32,
    /// The version of a workflow that is tried, instead of what a render type runs. No argument of any tool: whoever
    /// edits workflows tries them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<WorkflowId>,
}

/// As many pictures as the job has that a call starts from.
pub const AS_THERE: u32 = 0;

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_one(n: &u32) -> bool {
    *n == 1
}

impl ImageRequest {
    /// A request with nothing but a prompt.
    pub fn generate(prompt: impl Into<String>) -> Self {
        Self {
            mode: Mode::Generate,
            prompt: Some(prompt.into()),
            negative_prompt: None,
            styles: StyleChoice::Defaults,
            render_type: None,
            size: SizeChoice::Default,
            seed: None,
            enhance: None,
            denoise: None,
            input: None,
            n: 1,
            area: None,
            trial: None,
        }
    }
}

/// How a picture is to be described.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DescriptionKind {
    /// Prose.
    Natural,
    /// One line of keywords, fit to be a prompt.
    #[default]
    Optimized,
}

/// A request for words about a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescribeRequest {
    /// The picture.
    pub image: ImageRef,
    /// Prose or keywords.
    pub kind: DescriptionKind,
    /// Language of the answer: a name or code as the caller gave it. Default `en`.
    pub language: String,
}

/// What a job does. The tag is not `kind`: a description has a field of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly every job is of the large kind")]
pub enum JobRequest {
    /// Makes pictures on a ComfyUI server.
    Image(ImageRequest),
    /// Has an LLM describe a picture.
    Describe(DescribeRequest),
    /// Has an LLM write a prompt.
    Prompt(PromptRequest),
}

impl JobRequest {
    /// The stored pictures that it works on: input and mask, once they are stored.
    pub fn works_on(&self) -> impl Iterator<Item = ArtifactId> + '_ {
        let (input, mask) = match self {
            Self::Image(ImageRequest { input, area: Some(Area::Mask(mask)), .. }) => (input.as_ref(), Some(mask)),
            Self::Image(ImageRequest { input, .. }) => (input.as_ref(), None),
            Self::Describe(describe) => (Some(&describe.image), None),
            Self::Prompt(_) => (None, None),
        };
        input.into_iter().chain(mask).filter_map(|image| match image {
            ImageRef::Artifact(id) => Some(*id),
            ImageRef::Job(_) | ImageRef::Url(_) | ImageRef::Data(_) => None,
        })
    }

    /// The tool's public name.
    pub fn tool(&self) -> &'static str {
        match self {
            Self::Image(request) => request.mode.tool(),
            Self::Describe(_) => "describe_image",
            Self::Prompt(_) => "generate_prompt",
        }
    }

    /// How many pictures it asks for; 1 for everything that makes none.
    pub fn pictures(&self) -> u32 {
        if let Self::Image(request) = self { request.n.max(1) } else { 1 }
    }

    /// The prompt as asked, for lists of jobs.
    pub fn prompt(&self) -> Option<&str> {
        match self {
            Self::Image(request) => request.prompt.as_deref(),
            Self::Describe(_) => None,
            Self::Prompt(request) => request.subject.as_deref(),
        }
    }
}

/// How much of a picture goes into the answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inline {
    /// None: text and link only.
    None,
    /// A small preview.
    Preview,
    /// The picture itself, when it fits the budget.
    Full,
}

/// What says how to answer and to queue, not what to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Seconds to wait before the handle is answered; `None` = [`limits::WAIT_DEFAULT_S`].
    pub wait_s: Option<u32>,
    /// How much of each picture to inline; `None` = as the connection says.
    pub inline: Option<Inline>,
    /// Key under which a repeated call finds the same job.
    pub idempotency_key: Option<String>,
    /// Where and how soon the job is to run; not an argument of any tool.
    pub wish: Wish,
    /// The job that this call retries, runs again or varies.
    pub parent: Option<JobId>,
    /// The job whose recipe fills in what the call does not give.
    pub from_job: Option<JobId>,
    /// Where the caller's trace goes on; not an argument of any tool.
    pub trace: Option<TraceParent>,
    /// Tell the plan and make nothing.
    pub plan_only: bool,
}

/// One call of a tool that makes a job.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// What to do.
    pub request: JobRequest,
    /// How to answer.
    pub options: CallOptions,
}

impl ToolCall {
    /// Parses the arguments of the tool `tool`. `null` means omitted; the older system's argument
    /// names (`style_names`, `enhance_prompt`, `input_image_url`, `upscale_type`, `render_style`) are accepted.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownTool`], or [`ErrorCode::BadArgument`] naming the argument, what was
    /// given and what is valid.
    pub fn parse(tool: &str, arguments: &Map<String, Value>) -> Result<Self, UserError> {
        let mut args = Arguments::new(arguments);
        let request = match tool {
            "generate_image" => JobRequest::Image(parse_image(Mode::Generate, &mut args)?),
            "upscale_image" => JobRequest::Image(parse_image(Mode::Upscale, &mut args)?),
            "edit_image" => JobRequest::Image(parse_image(Mode::Edit, &mut args)?),
            "detail_image" => JobRequest::Image(parse_image(Mode::Detail, &mut args)?),
            "describe_image" => JobRequest::Describe(parse_describe(&mut args)?),
            "generate_prompt" => JobRequest::Prompt(parse_prompt(&mut args)?),
            other => return Err(unknown_tool(other, JOB_TOOLS)),
        };
        let options = parse_options(&request, &mut args)?;
        args.refuse_unknown(tool)?;
        Ok(Self { request, options })
    }
}

/// The error for a tool name that is none of `known`.
pub fn unknown_tool(given: &str, known: impl IntoIterator<Item = &'static str>) -> UserError {
    let known: Vec<&str> = known.into_iter().collect();
    let shown: String = given.chars().take(limits::NAME_MAX_CHARS).collect();
    let error = UserError::new(ErrorCode::UnknownTool, format!("There is no tool `{shown}`."));
    let error = match suggest::nearest(&shown, known.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    };
    error.with_valid(known)
}

fn parse_image(mode: Mode, args: &mut Arguments<'_>) -> Result<ImageRequest, UserError> {
    // A job to start from has whatever is not given.
    let from_job = args.job("from_job")?.is_some();
    let area = if mode == Mode::Detail { args.area()? } else { None };
    let prompt = args.prompt("prompt")?;
    let needs_prompt = match mode {
        Mode::Generate | Mode::Edit => true,
        Mode::Upscale => false,
        // What a detector looks for says enough.
        Mode::Detail => !matches!(area, Some(Area::Part(_))),
    };
    if prompt.is_none() && needs_prompt && !from_job {
        return Err(missing("prompt", "say what the picture should show"));
    }
    let input = if mode.needs_input() { args.image(&["image", "input_image_url"])? } else { None };
    if mode.needs_input() && input.is_none() && !from_job {
        return Err(missing("image", "give an image id, a job id, an http(s) URL or a data URI"));
    }
    Ok(ImageRequest {
        mode,
        prompt,
        negative_prompt: args.prompt("negative_prompt")?,
        styles: args.names(&["styles", "style_names"])?.map_or(StyleChoice::Defaults, StyleChoice::Named),
        render_type: args.name(if mode == Mode::Upscale {
            &["render_type", "upscale_type"]
        } else {
            &["render_type"]
        })?,
        size: if matches!(mode, Mode::Upscale | Mode::Detail) { SizeChoice::Default } else { args.size()? },
        seed: args.seed()?,
        enhance: args.boolean(&["enhance", "enhance_prompt"])?,
        denoise: if mode == Mode::Generate { None } else { args.fraction("denoise")? },
        input,
        n: match mode {
            Mode::Upscale => 1,
            _ => args.pictures()?.unwrap_or(if from_job { AS_THERE } else { 1 }),
        },
        area,
        trial: None,
    })
}

fn parse_describe(args: &mut Arguments<'_>) -> Result<DescribeRequest, UserError> {
    let image = args
        .image(&["image", "input_image_url"])?
        .ok_or_else(|| missing("image", "give an image id, a job id, an http(s) URL or a data URI"))?;
    let kind = args.choice(
        &["description_type"],
        &[("natural", DescriptionKind::Natural), ("optimized", DescriptionKind::Optimized)],
    )?;
    let language = args.name(&["language"])?.unwrap_or_else(|| "en".to_owned());
    Ok(DescribeRequest { image, kind: kind.unwrap_or_default(), language })
}

/// Means "no style" where one style is named.
const NO_STYLE: &str = "none";

fn parse_prompt(args: &mut Arguments<'_>) -> Result<PromptRequest, UserError> {
    let style = match args.name(&["style", "render_style"])? {
        None => PromptStyle::Fitting,
        Some(name) if name == NO_STYLE => PromptStyle::None,
        Some(name) => PromptStyle::Named(name),
    };
    Ok(PromptRequest {
        subject: args.prompt("subject")?,
        elements: args.names(&["elements"])?.unwrap_or_default(),
        style,
        seed: args.seed()?,
    })
}

fn parse_options(request: &JobRequest, args: &mut Arguments<'_>) -> Result<CallOptions, UserError> {
    let makes_pictures = matches!(request, JobRequest::Image(_));
    Ok(CallOptions {
        wait_s: args.wait_s()?,
        inline: if makes_pictures { args.inline()? } else { None },
        idempotency_key: args.idempotency_key()?,
        wish: Wish::default(),
        parent: None,
        from_job: if makes_pictures { args.job("from_job")? } else { None },
        trace: None,
        plan_only: makes_pictures && args.boolean(&["plan_only"])?.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
