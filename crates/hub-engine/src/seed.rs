//! Fills the catalogue of a fresh hub from its seed files, once.
//!
//! What exists under a seeded name is left alone, so a catalogue that people began is only completed, and
//! what they delete later does not come back: a setting remembers that the seeding is done.

use std::collections::{BTreeMap, HashSet};

use comfyui::workflow::{
    Graph, SlotKind, Slots, Target,
    slots::{Confidence, Slot, Source},
};
use hub_core::{
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits, Style},
    error::{ErrorCode, UserError},
    ids::{RenderTypeId, StyleId},
    request::{AspectRatio, ImageSize},
};
use hub_store::Store;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{import, refusal::storage};

/// Setting that remembers the seeding.
pub(crate) const SEEDED_SETTING: &str = "catalogue_seeded";

/// A shipped workflow's description. Unknown keys are for people.
#[derive(Deserialize)]
struct WorkflowSeed {
    name: String,
    description: String,
    #[serde(default)]
    outputs: Vec<String>,
    /// `node.input` by kind of slot.
    #[serde(default)]
    slots: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct StylesFile {
    styles: Vec<StyleSeed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StyleSeed {
    name: String,
    category: String,
    description: String,
    prompt_template: String,
    #[serde(default)]
    negative_template: String,
    #[serde(default)]
    default: bool,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    render_types: Vec<String>,
    #[serde(default)]
    preferred_render_type: Option<String>,
}

#[derive(Deserialize)]
struct RenderTypesFile {
    render_types: Vec<RenderTypeSeed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenderTypeSeed {
    name: String,
    title: String,
    description: String,
    workflow: String,
    mode: Mode,
    #[serde(default = "yes")]
    visible: bool,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    prompt_guide: String,
    #[serde(default)]
    prompt_examples: Vec<String>,
    #[serde(default)]
    limits: Option<SizeLimits>,
    #[serde(default)]
    defaults: RenderDefaults,
    /// Width and height in pixels.
    #[serde(default)]
    sizes: BTreeMap<AspectRatio, [u32; 2]>,
}

fn yes() -> bool {
    true
}

/// Seeds, unless it was done before. Answers whether anything was written.
///
/// # Errors
/// `internal` naming the seed file that does not read; `storage`.
pub(crate) async fn seed(
    store: &Store,
    workflows: &[(&str, &str)],
    styles: &str,
    render_types: &str,
) -> Result<bool, UserError> {
    if store.setting_get::<bool>(SEEDED_SETTING).await.map_err(storage)?.unwrap_or(false) {
        return Ok(false);
    }
    // All files are read before the first row is written.
    let workflows =
        workflows.iter().map(|(about, graph)| read_workflow(about, graph)).collect::<Result<Vec<_>, _>>()?;
    let styles: StylesFile = read_toml("the styles", styles)?;
    let render_types: RenderTypesFile = read_toml("the render types", render_types)?;
    let known: HashSet<String> =
        store.workflow_list().await.map_err(storage)?.into_iter().map(|workflow| workflow.name).collect();
    for (about, graph, slots) in workflows.iter().filter(|(about, ..)| !known.contains(&about.name)) {
        import::store(store, &about.name, graph, slots, &about.description).await?;
    }
    seed_render_types(store, render_types.render_types).await?;
    seed_styles(store, styles.styles).await?;
    store.setting_set(SEEDED_SETTING, &true).await.map_err(storage)?;
    Ok(true)
}

async fn seed_render_types(store: &Store, seeds: Vec<RenderTypeSeed>) -> Result<(), UserError> {
    let present = store.render_type_list().await.map_err(storage)?;
    for seed in seeds {
        if present.iter().any(|row| row.name == seed.name) {
            continue;
        }
        // A default that a person chose stays the default.
        let free = !present.iter().any(|row| row.mode == seed.mode && row.is_default);
        let row = seed.into_row(free);
        store.render_type_save(&row).await.map_err(storage)?;
    }
    Ok(())
}

async fn seed_styles(store: &Store, seeds: Vec<StyleSeed>) -> Result<(), UserError> {
    let present: HashSet<String> =
        store.style_list().await.map_err(storage)?.into_iter().map(|style| style.name).collect();
    for seed in seeds.into_iter().filter(|seed| !present.contains(&seed.name)) {
        store.style_save(&seed.into_row()).await.map_err(storage)?;
    }
    Ok(())
}

impl RenderTypeSeed {
    fn into_row(self, default_is_free: bool) -> RenderType {
        let sizes = self
            .sizes
            .into_iter()
            .map(|(aspect, [width_px, height_px])| (aspect, ImageSize { width_px, height_px }))
            .collect();
        RenderType {
            id: RenderTypeId::new(),
            name: self.name,
            title: self.title,
            description: self.description,
            workflow: self.workflow,
            workflow_version: None,
            mode: self.mode,
            visible: self.visible,
            is_default: self.default && default_is_free,
            sizes,
            limits: self.limits.unwrap_or_default(),
            defaults: self.defaults,
            prompt_guide: self.prompt_guide,
            prompt_examples: self.prompt_examples,
        }
    }
}

impl StyleSeed {
    fn into_row(self) -> Style {
        Style {
            id: StyleId::new(),
            name: self.name,
            category: self.category,
            description: self.description,
            prompt_template: self.prompt_template,
            negative_template: self.negative_template,
            render_types: self.render_types,
            preferred_render_type: self.preferred_render_type,
            is_default: self.default,
            enabled: self.enabled,
        }
    }
}

fn read_workflow(about: &str, graph: &str) -> Result<(WorkflowSeed, Graph, Slots), UserError> {
    let about: WorkflowSeed = read_toml("a workflow", about)?;
    let graph = import::read(graph.as_bytes())
        .map_err(|error| unreadable(&format!("the workflow `{}`", about.name), &error.message))?;
    let slots = confirmed(&about, &graph)?;
    Ok((about, graph, slots))
}

/// The detected slots, with those that the author named in their place.
fn confirmed(about: &WorkflowSeed, graph: &Graph) -> Result<Slots, UserError> {
    let mut slots = import::detect(graph);
    for (word, addresses) in &about.slots {
        let what = format!("the slot `{word}` of the workflow `{}`", about.name);
        let kind: SlotKind = serde_json::from_value(Value::String(word.clone()))
            .map_err(|error| unreadable(&what, &error.to_string()))?;
        let targets = addresses
            .iter()
            .map(|address| {
                let (node_id, input) = address.split_once('.')?;
                graph.node(node_id)?.literal(input)?;
                Some(Target { node_id: node_id.to_owned(), input: input.to_owned() })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| unreadable(&what, "it names no value of the graph"))?;
        name_slot(&mut slots, graph, kind, targets);
    }
    if !about.outputs.is_empty() {
        let named: HashSet<&str> = about.outputs.iter().map(String::as_str).collect();
        let found: HashSet<&str> = slots.output_nodes().collect();
        if found != named {
            let targets =
                about.outputs.iter().map(|node_id| Target { node_id: node_id.clone(), input: String::new() }).collect();
            name_slot(&mut slots, graph, SlotKind::Output, targets);
        }
    }
    slots.slots.sort_by_key(|slot| slot.kind);
    Ok(slots)
}

fn name_slot(slots: &mut Slots, graph: &Graph, kind: SlotKind, targets: Vec<Target>) {
    if slots.get(kind).is_some_and(|slot| slot.targets == targets) {
        return;
    }
    let current = targets.first().and_then(|target| graph.node(&target.node_id)?.literal(&target.input)).cloned();
    slots.slots.retain(|slot| slot.kind != kind);
    slots.slots.push(Slot { kind, targets, source: Source::Title, confidence: Confidence::Certain, current });
}

fn read_toml<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, UserError> {
    toml::from_str(text).map_err(|error| unreadable(what, &error.to_string()))
}

fn unreadable(what: &str, why: &str) -> UserError {
    UserError::new(ErrorCode::Internal, format!("The hub's own seed of {what} cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn shipped(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::read_to_string(root.join(path)).expect(path)
    }

    #[test]
    fn shipped_styles_and_render_types_read_and_fit_together() {
        let styles: StylesFile = read_toml("styles", &shipped("config/catalogue/styles.toml")).expect("styles");
        let types: RenderTypesFile =
            read_toml("render types", &shipped("config/catalogue/render_types.toml")).expect("render types");
        let names: HashSet<&str> = types.render_types.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), types.render_types.len(), "names are unique");
        for style in &styles.styles {
            for name in style.render_types.iter().chain(&style.preferred_render_type) {
                assert!(names.contains(name.as_str()), "{} names {name}", style.name);
            }
        }
        for mode in [Mode::Generate, Mode::Upscale, Mode::Edit] {
            let defaults = types.render_types.iter().filter(|row| row.mode == mode && row.default).count();
            assert_eq!(defaults, 1, "{mode:?}");
        }
    }

    #[test]
    fn every_shipped_render_type_has_a_workflow_that_serves_its_mode() {
        let types: RenderTypesFile =
            read_toml("render types", &shipped("config/catalogue/render_types.toml")).expect("render types");
        for row in types.render_types {
            let about = shipped(&format!("workflows/{}.toml", row.workflow));
            let graph = shipped(&format!("workflows/{}.json", row.workflow));
            let (about, graph, slots) = read_workflow(&about, &graph).expect(&row.workflow);
            let workflow = hub_core::catalogue::Workflow {
                id: hub_core::ids::WorkflowId::new(),
                name: about.name,
                version: 1,
                graph: graph.to_value(),
                slots: Value::Null,
                description: String::new(),
            };
            import::check_mode(&workflow, &slots, row.mode).expect(&row.name);
        }
    }

    #[test]
    fn a_slot_that_the_author_names_replaces_the_detected_one() {
        let graph = Graph::parse(&crate::plan::fixtures::text_to_image()).expect("a workflow");
        let about = |address: &str| WorkflowSeed {
            name: "w".to_owned(),
            description: String::new(),
            outputs: Vec::new(),
            slots: BTreeMap::from([("prompt".to_owned(), vec![address.to_owned()])]),
        };
        let slots = confirmed(&about("3.text"), &graph).expect("exists");
        assert_eq!(slots.get(SlotKind::Prompt).map(|slot| slot.targets[0].node_id.as_str()), Some("3"));
        assert!(confirmed(&about("3.nothing"), &graph).is_err());
    }
}
