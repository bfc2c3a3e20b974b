//! What is typed into the playground, and the tool arguments it stands for.

use hub_core::{
    catalogue::Catalogue,
    job::Job,
    request::{DescriptionKind, ImageRequest, JobRequest, SizeChoice, StyleChoice},
};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::pages::form::FormFields;

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
            image: fields.first("image"),
            description_type: fields.first("description_type"),
            language: fields.first("language"),
        }
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
            // A generated prompt is there to be drawn.
            JobRequest::Prompt(_) => match job.generated_prompt() {
                Some(prompt) => {
                    Self { prompt: prompt.positive_prompt, negative_prompt: prompt.negative_prompt, ..Self::default() }
                }
                None => Self::default(),
            },
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
        let render_type = recipe.map(|recipe| recipe.render_type.clone()).or_else(|| request.render_type.clone());
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
            description_type: String::new(),
            language: String::new(),
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
        let describes = tool == "describe_image";
        if tool != "generate_image" {
            text("image", &self.image);
        }
        if describes {
            text("description_type", &self.description_type);
            text("language", &self.language);
            return arguments;
        }
        text("prompt", &self.prompt);
        text("negative_prompt", &self.negative_prompt);
        text("render_type", &self.render_type);
        if tool != "upscale_image" {
            text("aspect_ratio", &self.aspect_ratio);
        }
        let mut number = |name: &str, value: &str| {
            let value = value.trim();
            if !value.is_empty() {
                let parsed = serde_json::from_str::<Number>(value).map(Value::Number);
                arguments.insert(name.to_owned(), parsed.unwrap_or_else(|_| Value::from(value)));
            }
        };
        if tool != "upscale_image" {
            number("width", &self.width);
            number("height", &self.height);
        }
        number("seed", &self.seed);
        if tool != "generate_image" {
            number("denoise", &self.denoise);
        }
        arguments.insert("styles".to_owned(), Value::from(self.styles.clone()));
        arguments.insert("enhance".to_owned(), Value::from(self.enhance));
        arguments
    }
}

#[cfg(test)]
pub(super) fn sample_typed() -> Typed {
    use crate::pages::shown::sample::HOSTILE;
    Typed {
        prompt: HOSTILE.to_owned(),
        negative_prompt: HOSTILE.to_owned(),
        styles: vec!["<anime>".to_owned()],
        seed: "-5<b>".to_owned(),
        image: "\"><script>".to_owned(),
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
        ..Style::new("<anime>", HOSTILE)
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
mod tests {
    use hub_core::request::{StyleChoice, ToolCall};
    use serde_json::json;

    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Typed {
        let texts = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Typed::read(&FormFields { texts, ..FormFields::default() })
    }

    #[test]
    fn a_filled_form_says_what_was_ticked_and_an_empty_one_says_none() {
        let form = typed(&[
            ("prompt", "a fox\r\nin snow"),
            ("styles", "a"),
            ("styles", "b"),
            ("seed", " 42 "),
            ("enhance", "on"),
        ]);
        assert_eq!(
            Value::Object(form.arguments("generate_image")),
            json!({"prompt": "a fox\nin snow", "seed": 42, "styles": ["a", "b"], "enhance": true})
        );
        let call =
            ToolCall::parse("generate_image", &typed(&[("prompt", "x")]).arguments("generate_image")).expect("valid");
        let JobRequest::Image(request) = call.request else { panic!("an image") };
        assert_eq!((request.styles, request.enhance), (StyleChoice::Named(vec![]), Some(false)));
    }

    #[test]
    fn a_number_that_is_none_is_told_in_the_tools_words() {
        for (field, value, said) in [
            ("seed", "-5", "-5"),
            ("seed", "18446744073709551616", "18446744073709551615"),
            ("seed", "many", "is a text"),
            ("width", "5", "from 16"),
        ] {
            let mut pairs = vec![("prompt", "x"), ("height", "512"), ("width", "512")];
            pairs.retain(|(name, _)| *name != field);
            pairs.push((field, value));
            let error =
                ToolCall::parse("generate_image", &typed(&pairs).arguments("generate_image")).expect_err("refused");
            assert_eq!(error.argument.as_deref(), Some(field));
            assert!(error.message.contains(said), "{}", error.message);
        }
        let all = u64::MAX.to_string();
        assert_eq!(typed(&[("seed", &all)]).arguments("generate_image")["seed"], json!(u64::MAX));
    }

    #[test]
    fn each_tool_is_given_only_its_own_arguments() {
        let pairs = [
            ("prompt", "x"),
            ("image", "img_00000000000000000000000000000001"),
            ("denoise", "0.3"),
            ("aspect_ratio", "1:1"),
            ("language", "fr"),
            ("description_type", "natural"),
        ];
        for tool in ["generate_image", "edit_image", "upscale_image", "describe_image"] {
            ToolCall::parse(tool, &typed(&pairs).arguments(tool)).expect(tool);
        }
    }
}
