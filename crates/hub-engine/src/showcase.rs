//! What a style or render type looks like: which scene is drawn for it, with what, and whether the picture that there
//! is still tells the truth. Pure.

use comfyui::workflow::SlotKind;
use hub_core::{
    artifact::Artifact,
    catalogue::{Catalogue, Mode, RenderType, Style},
    error::UserError,
    ids::{JobId, WorkflowId},
    job::JobState,
    limits,
    placement::Wish,
    request::{Area, CallOptions, ImageRef, ImageRequest, JobRequest, Region, StyleChoice, ToolCall},
};
use hub_store::{Showcase, ShowcaseOf, Showcases};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::{catalogue::Snapshot, submit::hex};

/// The one scene that every style and render type is shown with, so that they can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowcaseScene {
    /// What is drawn.
    pub prompt: String,
    /// With which seed.
    pub seed: u64,
}

impl Default for ShowcaseScene {
    fn default() -> Self {
        Self { prompt: "a red fox beside a stone bridge in a forest, a village behind it".to_owned(), seed: 1 }
    }
}

/// The picture of a style or render type, and whether one is being made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShowcaseView {
    /// The newest picture.
    pub picture: Option<Artifact>,
    /// What it shows has changed since it was made, or the scene has.
    pub stale: bool,
    /// The job that makes a new one now.
    pub pending: Option<JobId>,
    /// The newest job that should have made one and did not, and why.
    pub failed: Option<(JobId, String)>,
}

/// All pictures of styles and render types, held against the catalogue as of now.
#[derive(Clone, Default)]
pub struct ShowcaseIndex {
    pub(crate) rows: Showcases,
    pub(crate) scene: ShowcaseScene,
    pub(crate) snapshot: std::sync::Arc<Snapshot>,
}

impl ShowcaseIndex {
    /// The scene as of now.
    pub fn scene(&self) -> &ShowcaseScene {
        &self.scene
    }

    /// How a style looks.
    pub fn of_style(&self, style: &Style) -> ShowcaseView {
        let look = look_of_style(&self.snapshot, style, &self.scene);
        view(self.rows.of(ShowcaseOf::Style(style.id)), look.as_deref())
    }

    /// How a render type looks.
    pub fn of_render_type(&self, row: &RenderType) -> ShowcaseView {
        let look = self.look(row);
        view(self.rows.of(ShowcaseOf::RenderType(row.id)), look.as_deref())
    }

    /// The picture that render types are shown with which work on one: what the default render type draws, else the
    /// first that has drawn the scene.
    pub(crate) fn model(&self) -> Option<&Artifact> {
        let catalogue = &self.snapshot.catalogue;
        let drawn = |row: &RenderType| {
            let rows = self.rows.of(ShowcaseOf::RenderType(row.id));
            rows.iter().find_map(|row| row.pictures.first())
        };
        let default = catalogue.default_for(Mode::Generate).and_then(drawn);
        default.or_else(|| catalogue.visible(Mode::Generate).find_map(drawn))
    }

    /// What a render type's picture depends on; `None` when there is nothing yet that it could work on.
    pub(crate) fn look(&self, row: &RenderType) -> Option<String> {
        let look = look_of_render_type(&self.snapshot, row, &self.scene);
        match row.mode {
            Mode::Generate => Some(look),
            _ => self.model().map(|model| digest(&(look, model.id))),
        }
    }

    /// The job that shows a render type; `None` when there is nothing yet that it could work on.
    pub(crate) fn call(&self, row: &RenderType) -> Option<ToolCall> {
        let mut request = scenery(&self.scene, &row.name, Vec::new());
        if row.mode != Mode::Generate {
            let marks = self.snapshot.runnable(row).is_some_and(|runnable| runnable.slots.has(SlotKind::Mask));
            request.mode = row.mode;
            request.input = Some(ImageRef::Artifact(self.model()?.id));
            request.area = (row.mode == Mode::Detail && marks).then(|| Area::Region(Region::middle()));
            request.prompt = match row.mode {
                Mode::Edit => Some(EDIT.to_owned()),
                Mode::Detail if !marks => None,
                _ => request.prompt,
            };
        }
        Some(last_of_all(request))
    }
}

/// What a render type is asked for that edits: a change that is seen at once, whatever the scene.
const EDIT: &str = "the same in deep winter, covered in snow";

fn view(rows: &[Showcase], look: Option<&str>) -> ShowcaseView {
    let shown = rows.iter().find(|row| !row.pictures.is_empty());
    let newest = rows.first();
    let failed = newest.filter(|row| row.pictures.is_empty()).and_then(|row| match &row.job.state {
        JobState::Failed(error) => Some((row.job.id, error.message.clone())),
        JobState::Cancelled => Some((row.job.id, "It was cancelled.".to_owned())),
        JobState::Expired => Some((row.job.id, "It waited too long for a server.".to_owned())),
        _ => None,
    });
    ShowcaseView {
        picture: shown.and_then(|row| row.pictures.first().cloned()),
        stale: shown.is_some_and(|row| look.is_some_and(|look| look != row.look)),
        pending: newest.filter(|row| !row.job.state.kind().is_terminal()).map(|row| row.job.id),
        failed,
    }
}

/// The render type that shows a style: its preference, else the default if the style suits it, else the first that it
/// suits.
pub(crate) fn stage<'a>(catalogue: &'a Catalogue, style: &Style) -> Option<&'a RenderType> {
    let draws = |row: &&RenderType| row.mode == Mode::Generate;
    let suits = |row: &&RenderType| style.render_types.is_empty() || style.render_types.contains(&row.name);
    let preferred = style.preferred_render_type.as_deref().and_then(|name| catalogue.render_type(name)).filter(draws);
    preferred
        .or_else(|| catalogue.default_for(Mode::Generate).filter(suits))
        .or_else(|| catalogue.visible(Mode::Generate).find(suits))
}

/// What a style's picture depends on; `None` when nothing can draw it.
pub(crate) fn look_of_style(snapshot: &Snapshot, style: &Style, scene: &ShowcaseScene) -> Option<String> {
    let stage = stage(&snapshot.catalogue, style)?;
    let drawn = look_of_render_type(snapshot, stage, scene);
    Some(digest(&(&style.prompt_template, &style.negative_template, &stage.name, drawn)))
}

/// What a render type's picture depends on.
pub(crate) fn look_of_render_type(snapshot: &Snapshot, row: &RenderType, scene: &ShowcaseScene) -> String {
    let workflow: Option<WorkflowId> = snapshot.runnable(row).map(|runnable| runnable.workflow.id);
    let size = row.defaults.aspect.and_then(|aspect| row.sizes.get(&aspect));
    digest(&(workflow, &row.defaults, size, scene))
}

fn digest(of: &impl Serialize) -> String {
    // Plain data with text for keys always becomes JSON.
    hex(&Sha256::digest(serde_json::to_vec(of).unwrap_or_default()))
}

/// The job that draws the scene: last in its caller's queue, nothing reworded.
pub(crate) fn call(scene: &ShowcaseScene, render_type: &str, styles: Vec<String>) -> ToolCall {
    last_of_all(scenery(scene, render_type, styles))
}

fn scenery(scene: &ShowcaseScene, render_type: &str, styles: Vec<String>) -> ImageRequest {
    ImageRequest {
        styles: StyleChoice::Named(styles),
        render_type: Some(render_type.to_owned()),
        seed: Some(scene.seed),
        enhance: Some(false),
        ..ImageRequest::generate(scene.prompt.as_str())
    }
}

fn last_of_all(request: ImageRequest) -> ToolCall {
    let wish = Wish { priority: limits::PRIORITY_MIN, ..Wish::default() };
    // A key that nobody has: the style may have changed although the call is the same, and whoever asks for a picture
    // once more does not mean the one that failed.
    let idempotency_key = Some(format!("showcase-{}", JobId::new()));
    let options = CallOptions { wish, idempotency_key, ..CallOptions::default() };
    ToolCall { request: JobRequest::Image(request), options }
}

/// Checks a scene that an administrator gives.
///
/// # Errors
/// `bad_argument` for `prompt`.
pub(crate) fn check(scene: &ShowcaseScene) -> Result<ShowcaseScene, UserError> {
    let prompt = scene.prompt.trim();
    let chars = prompt.chars().count();
    if !(1..=limits::PROMPT_MAX_CHARS).contains(&chars) {
        let message = format!("`prompt` has {chars} characters, but must have 1 to {}.", limits::PROMPT_MAX_CHARS);
        return Err(UserError::argument("prompt", message));
    }
    Ok(ShowcaseScene { prompt: prompt.to_owned(), seed: scene.seed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::{render_type, snapshot, style};

    #[test]
    fn a_style_is_shown_with_what_suits_it() {
        let mut catalogue = (*snapshot().catalogue).clone();
        catalogue.render_types.push(render_type("flux", Mode::Generate));
        let name = |style: &Style| stage(&catalogue, style).map(|row| row.name.clone());
        assert_eq!(name(&style("any")).as_deref(), Some("sdxl"));
        let mut tied = style("tied");
        tied.render_types = vec!["flux".to_owned()];
        assert_eq!(name(&tied).as_deref(), Some("flux"));
        tied.preferred_render_type = Some("4x".to_owned());
        assert_eq!(name(&tied).as_deref(), Some("flux"), "a preference that draws nothing by itself does not count");
        tied.render_types = vec!["gone".to_owned()];
        assert_eq!(name(&tied), None);
    }

    #[test]
    fn a_look_changes_with_all_that_is_seen_and_nothing_else() {
        let snapshot = snapshot();
        let look = |style: &Style, scene: &ShowcaseScene| look_of_style(&snapshot, style, scene);
        let (scene, before) = (ShowcaseScene::default(), style("oil"));
        let first = look(&before, &scene);
        let described = Style { description: "thick paint".to_owned(), is_default: true, ..before.clone() };
        assert_eq!(look(&described, &scene), first);
        assert_ne!(look(&Style { prompt_template: "oil".to_owned(), ..before.clone() }, &scene), first);
        assert_ne!(look(&before, &ShowcaseScene { seed: 2, ..scene.clone() }), first);
        assert_eq!(look(&Style { render_types: vec!["gone".to_owned()], ..before.clone() }, &scene), None);
        let row = &snapshot.catalogue.render_types[0];
        let drawn = look_of_render_type(&snapshot, row, &scene);
        let mut changed = row.clone();
        changed.title = "Another title".to_owned();
        assert_eq!(look_of_render_type(&snapshot, &changed, &scene), drawn);
        changed.defaults.steps = Some(4);
        assert_ne!(look_of_render_type(&snapshot, &changed, &scene), drawn);
        assert!(check(&ShowcaseScene { prompt: "  ".to_owned(), seed: 0 }).is_err());
    }
}
