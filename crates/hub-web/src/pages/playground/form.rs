//! What is typed into the playground, and the tool arguments it stands for.

use hub_core::{
    caller::Caller,
    catalogue::Catalogue,
    error::UserError,
    job::Job,
    request::{Area, DescriptionKind, ImageRequest, JobRequest, PromptRequest, PromptStyle, SizeChoice, StyleChoice},
};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::{pages::form::FormFields, router::App};

/// The form's fields as text, so that they can be shown again as they were typed.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Typed {
    pub(super) prompt: String,
    pub(super) negative_prompt: String,
    pub(super) styles: Vec<String>,
    pub(super) render_type: String,
    pub(super) aspect_ratio: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) seed: String,
    pub(super) enhance: bool,
    pub(super) denoise: String,
    /// Id or address of the picture to work on.
    pub(super) image: String,
    pub(super) description_type: String,
    pub(super) language: String,
    /// How many pictures.
    pub(super) n: String,
    /// `x, y, width, height` of the box that is redrawn.
    pub(super) region: String,
    /// Id or address of the picture whose white is redrawn.
    pub(super) mask: String,
    /// What a detector shall find.
    pub(super) part: String,
    pub(super) subject: String,
    /// One a line.
    pub(super) elements: String,
    /// Style of a generated prompt: empty = one that fits.
    pub(super) style: String,
}

impl Typed {
    /// An empty form: the default styles are ticked, so what is applied is what is seen.
    pub(super) fn fresh(catalogue: &Catalogue) -> Self {
        Self {
            styles: catalogue
                .enabled_styles()
                .filter(|style| style.is_default)
                .map(|style| style.name.clone())
                .collect(),
            enhance: catalogue.can_enhance,
            language: "en".to_owned(),
            description_type: "optimized".to_owned(),
            ..Self::default()
        }
    }

    /// What was sent.
    pub(super) fn read(fields: &FormFields) -> Self {
        // A browser sends line breaks as two characters; they would count twice against the limit.
        let prompt = |name| fields.first(name).replace("\r\n", "\n");
        Self {
            prompt: prompt("prompt"),
            negative_prompt: prompt("negative_prompt"),
            styles: fields.texts.iter().filter(|(key, _)| key == "styles").map(|(_, name)| name.clone()).collect(),
            render_type: fields.first("render_type"),
            aspect_ratio: fields.first("aspect_ratio"),
            width: fields.first("width"),
            height: fields.first("height"),
            seed: fields.first("seed"),
            enhance: !fields.first("enhance").is_empty(),
            denoise: fields.first("denoise"),
            image: chosen(fields, "image", "picked"),
            description_type: fields.first("description_type"),
            language: fields.first("language"),
            n: fields.first("n"),
            region: fields.first("region"),
            mask: chosen(fields, "mask", "picked_mask"),
            part: fields.first("part"),
            subject: prompt("subject"),
            elements: prompt("elements"),
            style: fields.first("style"),
        }
    }

    /// Stores the pictures that came as files, and names them in place of what was typed.
    ///
    /// # Errors
    /// What is wrong with one, as a fault of its field.
    pub(super) async fn take_pictures(
        &mut self,
        app: &App,
        caller: &Caller,
        fields: &FormFields,
    ) -> Result<(), UserError> {
        for (field, argument, named) in [("file", "image", &mut self.image), ("mask_file", "mask", &mut self.mask)] {
            if let Some(id) = fields.stored_picture(app, caller, field, argument).await? {
                *named = id;
            }
        }
        Ok(())
    }

    /// The settings of an earlier job, with the seed and styles it really had.
    pub(super) fn of(job: &Job) -> Self {
        match &job.request {
            JobRequest::Image(request) => Self::of_image(job, request),
            JobRequest::Describe(request) => Self {
                image: request.image.to_string(),
                description_type: match request.kind {
                    DescriptionKind::Natural => "natural".to_owned(),
                    DescriptionKind::Optimized => "optimized".to_owned(),
                },
                language: request.language.clone(),
                ..Self::default()
            },
            JobRequest::Prompt(request) => Self::of_prompt(job, request),
        }
    }

    /// A generated prompt is there to be drawn; what it was asked with is kept beside it.
    fn of_prompt(job: &Job, request: &PromptRequest) -> Self {
        let made = job.generated_prompt();
        let (prompt, negative_prompt) =
            made.as_ref().map(|made| (made.positive_prompt.clone(), made.negative_prompt.clone())).unwrap_or_default();
        let seed = made.map(|made| made.seed).or(request.seed);
        Self {
            prompt,
            negative_prompt,
            subject: request.subject.clone().unwrap_or_default(),
            elements: request.elements.join("\n"),
            style: match &request.style {
                PromptStyle::Fitting => String::new(),
                PromptStyle::None => "none".to_owned(),
                PromptStyle::Named(name) => name.clone(),
            },
            seed: seed.map(|seed| seed.to_string()).unwrap_or_default(),
            ..Self::default()
        }
    }

    fn of_image(job: &Job, request: &ImageRequest) -> Self {
        let recipe = job.recipe.as_ref();
        let (aspect_ratio, size) = match request.size {
            SizeChoice::Default => (String::new(), None),
            SizeChoice::Aspect(ratio) => (ratio.as_str().to_owned(), None),
            SizeChoice::Exact(size) => (String::new(), Some(size)),
        };
        let styles = match (&request.styles, recipe) {
            (_, Some(recipe)) => recipe.styles.clone(),
            (StyleChoice::Named(names), None) => names.clone(),
            (StyleChoice::Defaults, None) => Vec::new(),
        };
        let seed = recipe.map(|recipe| recipe.seed).or(request.seed);
        // What a test run names is no render type that a form could ask for.
        let named = recipe.map(|recipe| recipe.render_type.clone()).or_else(|| request.render_type.clone());
        let render_type = named.filter(|_| request.trial.is_none());
        Self {
            prompt: request.prompt.clone().unwrap_or_default(),
            negative_prompt: request.negative_prompt.clone().unwrap_or_default(),
            styles,
            render_type: render_type.unwrap_or_default(),
            aspect_ratio,
            width: size.map(|size| size.width_px.to_string()).unwrap_or_default(),
            height: size.map(|size| size.height_px.to_string()).unwrap_or_default(),
            seed: seed.map(|seed| seed.to_string()).unwrap_or_default(),
            enhance: recipe.map_or(request.enhance.unwrap_or(false), |recipe| recipe.enhanced),
            denoise: request.denoise.map(|denoise| denoise.to_string()).unwrap_or_default(),
            image: request.input.as_ref().map(ToString::to_string).unwrap_or_default(),
            n: if request.n > 1 { request.n.to_string() } else { String::new() },
            region: match &request.area {
                Some(Area::Region(region)) => region_text(region),
                _ => String::new(),
            },
            mask: match &request.area {
                Some(Area::Mask(mask)) => mask.to_string(),
                _ => String::new(),
            },
            part: match &request.area {
                Some(Area::Part(part)) => part.as_str().to_owned(),
                _ => String::new(),
            },
            ..Self::default()
        }
    }

    /// The tool's arguments. Blank fields are omitted; a number that is none is passed on as it was
    /// typed, so that the tool's own words tell what is wrong with it.
    pub(super) fn arguments(&self, tool: &str) -> Map<String, Value> {
        let mut arguments = Map::new();
        let mut text = |name: &str, value: &str| {
            if !value.trim().is_empty() {
                arguments.insert(name.to_owned(), Value::from(value));
            }
        };
        let texts: &[(&str, &str)] = match tool {
            "describe_image" => &[("description_type", &self.description_type), ("language", &self.language)],
            "generate_prompt" => &[("subject", &self.subject), ("style", &self.style)],
            "detail_image" => &[("mask", &self.mask), ("part", &self.part)],
            "upscale_image" => &[],
            _ => &[("aspect_ratio", &self.aspect_ratio)],
        };
        let draws = !matches!(tool, "describe_image" | "generate_prompt");
        let common = [
            ("prompt", self.prompt.as_str()),
            ("negative_prompt", &self.negative_prompt),
            ("render_type", &self.render_type),
        ];
        if !matches!(tool, "generate_image" | "generate_prompt") {
            text("image", &self.image);
        }
        for (name, value) in common.iter().filter(|_| draws).chain(texts) {
            text(name, value);
        }
        let numbers: &[(&str, &str)] = match tool {
            "describe_image" => &[],
            "generate_prompt" => &[("seed", &self.seed)],
            "upscale_image" | "detail_image" => &[("seed", &self.seed), ("denoise", &self.denoise)],
            "edit_image" => &[
                ("width", &self.width),
                ("height", &self.height),
                ("seed", &self.seed),
                ("denoise", &self.denoise),
                ("n", &self.n),
            ],
            _ => &[("width", &self.width), ("height", &self.height), ("seed", &self.seed), ("n", &self.n)],
        };
        for (name, value) in numbers.iter().filter(|(_, value)| !value.trim().is_empty()) {
            arguments.insert((*name).to_owned(), number(value));
        }
        if tool == "detail_image" && !self.region.trim().is_empty() {
            let sides = self.region.split([',', ' ', ';']).filter(|side| !side.is_empty()).map(number).collect();
            arguments.insert("region".to_owned(), Value::Array(sides));
        }
        let elements = crate::pages::form::lines(&self.elements);
        if tool == "generate_prompt" && !elements.is_empty() {
            arguments.insert("elements".to_owned(), Value::from(elements));
        }
        if draws {
            arguments.insert("styles".to_owned(), Value::from(self.styles.clone()));
            arguments.insert("enhance".to_owned(), Value::from(self.enhance));
        }
        arguments
    }
}

fn number(text: &str) -> Value {
    let text = text.trim();
    serde_json::from_str::<Number>(text).map_or_else(|_| Value::from(text), Value::Number)
}

/// `x, y, width, height`, as it is typed.
fn region_text(region: &hub_core::request::Region) -> String {
    region.to_string().trim_matches(['[', ']']).to_owned()
}

/// The picture that is named or picked; empty for none. Without script both may come: then what was typed anew counts,
/// else the pick, which may be that of none. A name that was taken out takes out the pick that only repeats it.
fn chosen(fields: &FormFields, name: &str, pick: &str) -> String {
    let (named, before) = (fields.first(name), fields.first(&format!("{name}_before")));
    match fields.texts.iter().find(|(key, _)| key == pick) {
        Some((_, picked)) if named == before || (named.trim().is_empty() && *picked != before) => picked.clone(),
        _ => named,
    }
}

#[cfg(test)]
pub(super) fn sample_typed() -> Typed {
    use crate::pages::shown::sample::HOSTILE;
    Typed {
        prompt: HOSTILE.to_owned(),
        negative_prompt: HOSTILE.to_owned(),
        styles: vec!["<anime>\u{202e}".to_owned()],
        seed: "-5<b>".to_owned(),
        image: "\"><script>".to_owned(),
        subject: HOSTILE.to_owned(),
        elements: HOSTILE.to_owned(),
        region: HOSTILE.to_owned(),
        mask: HOSTILE.to_owned(),
        n: "<b>".to_owned(),
        enhance: true,
        ..Typed::default()
    }
}

#[cfg(test)]
pub(super) fn sample_catalogue() -> Catalogue {
    use hub_core::catalogue::{Mode, RenderType, Style};

    use crate::pages::shown::sample::HOSTILE;

    let render_types = Mode::ALL
        .into_iter()
        .map(|mode| RenderType {
            title: HOSTILE.to_owned(),
            description: HOSTILE.to_owned(),
            visible: false,
            is_default: true,
            prompt_guide: HOSTILE.to_owned(),
            prompt_examples: vec![HOSTILE.to_owned()],
            ..RenderType::new(format!("<{}>", mode.as_str()), "w", mode)
        })
        .collect();
    let style = Style {
        description: HOSTILE.to_owned(),
        prompt_template: "{prompt}".to_owned(),
        is_default: true,
        ..Style::new("<anime>\u{202e}", HOSTILE)
    };
    Catalogue {
        version: 1,
        render_types,
        styles: vec![style],
        can_enhance: true,
        can_describe: true,
        can_generate_prompts: true,
        prompt_styles: Vec::new(),
        finds_parts: false,
        enabled_servers: 0,
    }
}

#[cfg(test)]
mod tests;
