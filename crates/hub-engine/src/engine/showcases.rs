//! Pictures that show what styles and render types look like, rendered by the hub itself.

use hub_core::{
    caller::Caller,
    catalogue::{RenderType, Style},
    error::{ErrorCode, UserError},
    request::ToolCall,
};
use hub_store::ShowcaseOf;

use super::Engine;
use crate::{
    ShowcaseIndex, ShowcaseScene, Submitted,
    refusal::storage,
    showcase::{self, look_of_style, stage},
};

/// Where the scene is stored.
const SETTING: &str = "showcase_scene";
/// Most pictures that one wish asks for.
const AT_ONCE_MAX: usize = 50;

/// What came of a wish for all pictures that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShowcasesAsked {
    /// Jobs that were submitted.
    pub asked: usize,
    /// Styles that were left for another time: there were more than are asked for at once, or the queue is full.
    pub left: usize,
    /// Styles that nothing can draw.
    pub undrawable: Vec<String>,
}

impl Engine {
    /// What is drawn to show a style or render type.
    ///
    /// # Errors
    /// `storage`.
    pub async fn showcase_scene(&self) -> Result<ShowcaseScene, UserError> {
        Ok(self.store().setting_get(SETTING).await.map_err(storage)?.unwrap_or_default())
    }

    /// Has another scene drawn from now on: `edit` is given the scene as it is and answers what it shall be. The
    /// pictures that there are are then out of date.
    ///
    /// # Errors
    /// What `edit` refuses; `bad_argument` for `prompt`; `storage`.
    pub async fn showcase_scene_edit(
        &self,
        edit: impl Fn(&ShowcaseScene) -> Result<ShowcaseScene, UserError>,
    ) -> Result<ShowcaseScene, UserError> {
        self.setting_edit(SETTING, |now| showcase::check(&edit(now)?)).await
    }

    /// All pictures of styles and render types.
    ///
    /// # Errors
    /// `storage`.
    pub async fn showcases(&self) -> Result<ShowcaseIndex, UserError> {
        let rows = self.store().showcases(None).await.map_err(storage)?;
        Ok(ShowcaseIndex { rows, scene: self.showcase_scene().await?, snapshot: self.ctx().catalogue.snapshot() })
    }

    /// Has a picture of a style made, with a render type that suits it: an ordinary job of the least priority. While
    /// one is being made, that one is answered.
    ///
    /// # Errors
    /// As [`Engine::submit`]; `not_configured` when no render type suits the style.
    pub async fn showcase_style(&self, caller: &Caller, style: &Style) -> Result<Submitted, UserError> {
        let (engine, caller, style) = (self.clone(), caller.clone(), style.clone());
        self.to_its_end(async move {
            let _alone = engine.inner.showcasing.lock().await;
            engine.ask_for_style(&caller, &engine.showcases().await?, &style).await
        })
        .await
    }

    async fn ask_for_style(
        &self,
        caller: &Caller,
        index: &ShowcaseIndex,
        style: &Style,
    ) -> Result<Submitted, UserError> {
        if let Some(pending) = index.of_style(style).pending {
            return Ok(Submitted { job: self.job(pending).await?, replayed: true });
        }
        let catalogue = &index.snapshot.catalogue;
        let (Some(stage), Some(look)) = (stage(catalogue, style), look_of_style(&index.snapshot, style, &index.scene))
        else {
            let message = format!("No render type that makes pictures of a prompt suits the style `{}`.", style.name);
            return Err(UserError::new(ErrorCode::NotConfigured, message)
                .with_hint("Add one, or change which render types the style suits."));
        };
        let call = showcase::call(&index.scene, &stage.name, vec![style.name.clone()]);
        self.showcase(caller, ShowcaseOf::Style(style.id), call, &look).await
    }

    /// The same for a render type. One that works on a given picture is shown with what the default render type draws.
    ///
    /// # Errors
    /// As [`Engine::submit`]; `not_configured` when there is no picture yet that it could work on.
    pub async fn showcase_render_type(&self, caller: &Caller, row: &RenderType) -> Result<Submitted, UserError> {
        let (engine, caller, row) = (self.clone(), caller.clone(), row.clone());
        self.to_its_end(async move {
            let _alone = engine.inner.showcasing.lock().await;
            engine.ask_for_render_type(&caller, &row).await
        })
        .await
    }

    async fn ask_for_render_type(&self, caller: &Caller, row: &RenderType) -> Result<Submitted, UserError> {
        let index = self.showcases().await?;
        if let Some(pending) = index.of_render_type(row).pending {
            return Ok(Submitted { job: self.job(pending).await?, replayed: true });
        }
        let (Some(look), Some(call)) = (index.look(row), index.call(row)) else {
            let message = format!("`{}` works on a picture, and no render type has drawn the scene yet.", row.name);
            return Err(UserError::new(ErrorCode::NotConfigured, message)
                .with_hint("Have the picture of a render type made that draws from a prompt; then try again."));
        };
        self.showcase(caller, ShowcaseOf::RenderType(row.id), call, &look).await
    }

    /// Has the pictures made of all enabled styles that have none, and with `stale` of those whose picture is out of
    /// date; at most 50 in one go, and no more than the queue takes.
    ///
    /// # Errors
    /// `storage`, and what [`Engine::submit`] says of the first one. What was submitted before stays so.
    pub async fn showcase_missing(&self, caller: &Caller, stale: bool) -> Result<ShowcasesAsked, UserError> {
        let (engine, caller) = (self.clone(), caller.clone());
        self.to_its_end(async move {
            let _alone = engine.inner.showcasing.lock().await;
            engine.ask_for_missing(&caller, stale).await
        })
        .await
    }

    async fn ask_for_missing(&self, caller: &Caller, stale: bool) -> Result<ShowcasesAsked, UserError> {
        let index = self.showcases().await?;
        let catalogue = self.catalogue();
        let wanted = |style: &&Style| {
            let view = index.of_style(style);
            view.pending.is_none() && (view.picture.is_none() || (stale && view.stale))
        };
        let (drawable, not): (Vec<&Style>, Vec<&Style>) =
            catalogue.enabled_styles().filter(wanted).partition(|style| stage(&catalogue, style).is_some());
        let mut outcome = ShowcasesAsked {
            undrawable: not.into_iter().map(|style| style.name.clone()).collect(),
            left: drawable.len(),
            ..ShowcasesAsked::default()
        };
        for style in drawable.into_iter().take(AT_ONCE_MAX) {
            match self.ask_for_style(caller, &index, style).await {
                Ok(_) => (outcome.asked, outcome.left) = (outcome.asked + 1, outcome.left - 1),
                Err(error) if error.code == ErrorCode::QueueFull && outcome.asked > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    async fn showcase(
        &self,
        caller: &Caller,
        of: ShowcaseOf,
        call: ToolCall,
        look: &str,
    ) -> Result<Submitted, UserError> {
        let submitted = self.submit(caller, call).await?;
        self.store().showcase_add(of, submitted.job.id, look).await.map_err(storage)?;
        Ok(submitted)
    }
}
