//! Which saved value belongs to which input.
//!
//! A saved node lists its values without names. They follow the inputs of the class in order, but only those
//! that the editor shows as a widget, and with extra values after seeds ("randomize") and for upload buttons.
//! Owns that correspondence and nothing else: no links, no subgraphs.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::ui::Saved;
use crate::wire::{InputKind, InputSpec, NodeInfo, NodeInputs, WidgetHints};

/// Input types that the editor shows as a widget; inputs of other types are fed by links only.
const WIDGET_TYPES: [&str; 28] = [
    "INT",
    "FLOAT",
    "BOOLEAN",
    "STRING",
    "COMBO",
    "COMFY_DYNAMICCOMBO_V3",
    "MARKDOWN",
    "TEXTAREA",
    "COLOR",
    "COLORS",
    "CURVE",
    "RANGE",
    "CHART",
    "GALLERIA",
    "PAINTER",
    "COMPOSITOR",
    "VIDEO_EDIT",
    "BOUNDING_BOX",
    "BOUNDING_BOXES",
    "IMAGECOMPARE",
    "IMAGEUPLOAD",
    "AUDIOUPLOAD",
    "AUDIO_UI",
    "AUDIO_RECORD",
    "WEBCAM",
    "LOAD_3D",
    "LOAD_3D_ADVANCED",
    "PREVIEW_3D",
];
/// Values of the control behind a seed.
const CONTROLS: [&str; 5] = ["fixed", "increment", "decrement", "randomize", "increment-wrap"];
/// Buttons that are saved like values.
const BUTTONS: [&str; 3] = ["upload3dmodel", "uploadExtraResources", "clear"];
/// An input that the class does not declare.
static ANY: LazyLock<InputSpec> = LazyLock::new(|| InputSpec {
    kind: InputKind::Type("*".to_owned()),
    default: None,
    min: None,
    max: None,
    widget: WidgetHints::default(),
});
/// Variants inside variants.
const MAX_DEPTH: usize = 8;

/// The widgets and sockets of one node.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub widgets: Vec<Widget<'a>>,
    /// Inputs that only links feed: name and type.
    pub sockets: Vec<(String, &'a str)>,
    /// What looks wrong: inputs whose saved value has the wrong type.
    pub doubts: Vec<String>,
    /// Inputs whose value the web page makes at the moment of sending, from a camera, a recorder or a 3D view.
    pub made_by_page: Vec<String>,
}

/// An input with a value.
#[derive(Debug)]
pub(super) struct Widget<'a> {
    pub name: String,
    pub spec: &'a InputSpec,
    /// Saved, or else the default; `None` when there is neither.
    pub value: Option<Value>,
    /// Whether it is part of what goes to the server.
    pub sent: bool,
}

impl Layout<'_> {
    pub(super) fn widget(&self, name: &str) -> Option<&Widget<'_>> {
        self.widgets.iter().find(|widget| widget.name == name)
    }
}

/// The type under which the editor looks up how to show an input.
fn widget_type(spec: &InputSpec) -> &str {
    match (&spec.widget.type_name, &spec.kind) {
        (Some(name), _) | (None, InputKind::Type(name)) => name,
        (None, InputKind::Choice(_)) => "COMBO",
    }
}

/// The type of links that may feed an input.
pub(super) fn link_type(spec: &InputSpec) -> &str {
    match &spec.kind {
        InputKind::Choice(_) => "COMBO",
        InputKind::Type(name) => name,
    }
}

/// Whether the editor shows an input as a widget.
pub(super) fn is_widget(spec: &InputSpec) -> bool {
    !spec.widget.force_input && WIDGET_TYPES.contains(&widget_type(spec))
}

/// Whether a control like "randomize" follows.
pub(super) fn has_control(name: &str, spec: &InputSpec) -> bool {
    match widget_type(spec) {
        "INT" => spec.widget.control.unwrap_or_else(|| ["seed", "noise_seed"].contains(&name)),
        "FLOAT" | "COMBO" => spec.widget.control == Some(true),
        _ => false,
    }
}

/// Lays the saved values of a node out over the inputs of its class.
pub(super) fn lay_out<'a>(class: &str, info: &'a NodeInfo, saved: Saved<'_>) -> Layout<'a> {
    let mut run = Run { values: Values::new(info, saved), layout: Layout::default() };
    run.inputs("", &info.input, 0);
    if class == "CustomCombo" {
        run.custom_options();
    }
    if let Saved::Named(values) = saved {
        run.extra_names(values);
    }
    run.layout
}

/// The saved values, and how far they were used up.
enum Values<'v> {
    Listed { values: Vec<&'v Value>, next: usize },
    Named(&'v serde_json::Map<String, Value>),
}

impl<'v> Values<'v> {
    fn new(info: &NodeInfo, saved: Saved<'v>) -> Self {
        let values = match saved {
            Saved::Named(values) => return Self::Named(values),
            Saved::Listed(values) => values,
        };
        // Files from before inputs fed by links only lost their widgets hold a value for each of those, too. They
        // are told by their number of values, unless a file of today would have as many.
        let (mut forced, mut today) = (Vec::new(), 0);
        for (name, spec) in info.input.iter() {
            if is_widget(spec) {
                today += 1 + usize::from(has_control(name, spec));
            } else if !spec.widget.force_input {
                continue;
            }
            forced.push(spec.widget.force_input);
            if spec.widget.control == Some(true) {
                forced.push(false);
            }
        }
        let skip = forced.len() == values.len() && values.len() != today;
        let values = values.iter().zip(forced.iter().chain(std::iter::repeat(&false)));
        Self::Listed { values: values.filter(|(_, forced)| !(skip && **forced)).map(|(v, _)| v).collect(), next: 0 }
    }

    fn peek(&self) -> Option<&'v Value> {
        match self {
            Self::Listed { values, next } => values.get(*next).copied(),
            Self::Named(_) => None,
        }
    }

    fn skip(&mut self) {
        if let Self::Listed { next, .. } = self {
            *next += 1;
        }
    }

    fn take(&mut self, name: &str, numeric: bool) -> Option<&'v Value> {
        if let Self::Named(values) = self {
            return values.get(name);
        }
        // A seed lost its control between the version that saved this and the server's.
        if numeric && self.peek().is_some_and(is_control) {
            self.skip();
        }
        let value = self.peek();
        self.skip();
        value
    }

    /// Steps over the control of a seed, and over the filter text of a choice's control.
    fn skip_control(&mut self, with_filter: bool) {
        if self.peek().is_some_and(|value| value.is_null() || is_control(value)) {
            self.skip();
            if with_filter {
                self.skip();
            }
        }
    }
}

fn is_control(value: &Value) -> bool {
    value.as_str().is_some_and(|text| CONTROLS.contains(&text))
}

struct Run<'a, 'v> {
    values: Values<'v>,
    layout: Layout<'a>,
}

impl<'a, 'v> Run<'a, 'v> {
    fn inputs(&mut self, prefix: &str, inputs: &'a NodeInputs, depth: usize) {
        for (name, spec) in inputs.iter() {
            let name = format!("{prefix}{name}");
            if is_widget(spec) {
                self.widget(name, spec, depth);
            } else {
                self.layout.sockets.push((name, link_type(spec)));
            }
        }
    }

    fn widget(&mut self, name: String, spec: &'a InputSpec, depth: usize) {
        let kind = widget_type(spec);
        // A player and a before-and-after view save nothing; a recorder's and a camera's value is made by the page.
        let saved = match kind {
            "AUDIO_UI" | "IMAGECOMPARE" => None,
            _ => self.take(&name, kind),
        };
        if let Some(value) = saved
            && !fits(kind, value)
        {
            self.layout
                .doubts
                .push(format!("has the value {} for its input `{name}`, which takes {kind}", brief(value)));
        }
        let value = saved.cloned().or_else(|| default(kind, spec));
        let variant = value.as_ref().and_then(Value::as_str).and_then(|chosen| {
            spec.widget.variants.iter().find(|variant| variant.key == chosen).filter(|_| depth < MAX_DEPTH)
        });
        let made_by_page = matches!(kind, "LOAD_3D" | "AUDIO_RECORD" | "WEBCAM")
            && !value.as_ref().is_some_and(|value| value.is_object() || value.as_str().is_some_and(|t| !t.is_empty()));
        if made_by_page {
            self.layout.made_by_page.push(name.clone());
        }
        let sent = !made_by_page && !matches!(kind, "IMAGEUPLOAD" | "AUDIOUPLOAD" | "AUDIO_UI");
        if has_control(&name, spec) {
            self.values.skip_control(kind == "COMBO");
        }
        if kind == "BOUNDING_BOX" {
            // Its four numbers are widgets of their own, saved behind it.
            for _ in 0..4 {
                if self.values.peek().is_some_and(Value::is_number) {
                    self.values.skip();
                }
            }
        }
        let prefix = format!("{name}.");
        self.layout.widgets.push(Widget { name, spec, value, sent });
        if let Some(variant) = variant {
            self.inputs(&prefix, &variant.inputs, depth + 1);
        }
    }

    fn take(&mut self, name: &str, kind: &str) -> Option<&'v Value> {
        if kind == "LOAD_3D" {
            // The buttons of a 3D view are saved before it.
            while self.values.peek().and_then(Value::as_str).is_some_and(|text| BUTTONS.contains(&text)) {
                self.values.skip();
            }
        }
        self.values.take(name, matches!(kind, "INT" | "FLOAT" | "BOOLEAN"))
    }

    /// A choice whose options a person types in: they are widgets behind it, and so is the place of the choice.
    fn custom_options(&mut self) {
        let names = std::iter::once("index".to_owned()).chain((1..).map(|number| format!("option{number}")));
        for name in names {
            let Some(value) = self.values.peek().cloned() else { return };
            self.values.skip();
            self.layout.widgets.push(Widget { name, spec: &ANY, value: Some(value), sent: true });
        }
    }

    /// Values saved by name that the class does not declare: some custom nodes add inputs as choices are made.
    fn extra_names(&mut self, values: &serde_json::Map<String, Value>) {
        for (name, value) in values {
            let known =
                self.layout.widget(name).is_some() || self.layout.sockets.iter().any(|(known, _)| known == name);
            if !known && !value.is_object() && !value.is_null() && !is_control(value) {
                let widget = Widget { name: name.clone(), spec: &ANY, value: Some(value.clone()), sent: true };
                self.layout.widgets.push(widget);
            }
        }
    }
}

/// The value an input has before anybody touches it.
fn default(kind: &str, spec: &InputSpec) -> Option<Value> {
    if kind == "COMFY_DYNAMICCOMBO_V3" {
        return spec.widget.variants.first().map(|variant| json!(variant.key));
    }
    if let Some(default) = &spec.default {
        return Some(default.clone());
    }
    match kind {
        "INT" | "FLOAT" => Some(json!(0)),
        "BOOLEAN" => Some(json!(false)),
        "STRING" | "MARKDOWN" | "TEXTAREA" => Some(json!("")),
        "COMBO" => spec.choices().and_then(|choices| choices.first()).map(|first| json!(first)),
        "BOUNDING_BOX" => Some(json!({"x": 0, "y": 0, "width": 512, "height": 512})),
        "IMAGECOMPARE" => Some(json!(["", ""])),
        _ => None,
    }
}

/// Whether a saved value can be meant for an input of this kind. Texts and choices take anything that Python
/// would take, so only what surely comes from another widget is doubted.
fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "INT" | "FLOAT" => {
            value.is_number() || value.is_null() || value.as_str().is_some_and(|t| t.parse::<f64>().is_ok())
        }
        "BOOLEAN" => value.is_boolean() || value.is_number() || value.is_null(),
        "STRING" => !value.is_boolean(),
        _ => true,
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
