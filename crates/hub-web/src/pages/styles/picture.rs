//! The pictures of styles: has them rendered by the hub.

use axum::{
    extract::{Path, State},
    response::Response,
};
use hub_core::{
    error::{ErrorCode, UserError},
    request::ToolCall,
};
use hub_engine::ShowcaseScene;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    super::{
        form::{Fault, Sent, refused, ticked},
        see_other,
    },
    ListQuery, Scene, page,
};
use crate::{
    api,
    asker::Asker,
    audit::{about, about_some},
    error::WebError,
    lookup,
    presses::MoreIsLeft,
    router::App,
    said,
};

/// Has the style's picture made.
pub(crate) async fn make(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let style = lookup::style(&app, &id)?;
    app.engine.showcase_style(&caller, &style).await?;
    Ok(see_other(&format!("/styles/{}?done=picture-asked", style.id)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    /// Those that are out of date too.
    stale: String,
}

/// Has the pictures made that are missing.
pub(crate) async fn make_missing(
    State(app): State<App>,
    Asker(caller): Asker,
    Sent(which): Sent<Which>,
) -> Result<Response, WebError> {
    let outcome = app.engine.showcase_missing(&caller, ticked(&which.stale)).await;
    match outcome {
        Ok(outcome) => {
            let done = match (outcome.asked, outcome.left) {
                (0, _) => "pictures-none",
                (_, 0) => "pictures-asked",
                _ => "pictures-asked-some",
            };
            let mut response = see_other(&format!("/styles?done={done}"));
            if outcome.asked > 0 && outcome.left > 0 {
                response.extensions_mut().insert(MoreIsLeft);
            }
            Ok(about_some(response, outcome.asked, "picture"))
        }
        Err(error) => {
            let mut page = page(&app, &ListQuery::default()).await?;
            page.scene_fault = Some(Fault { field: String::new(), ..Fault::of(&error) });
            refused(&app, &error, &page)
        }
    }
}

/// What is drawn to show a style, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TypedScene {
    prompt: String,
    seed: String,
    /// Version that was read.
    version: String,
}

impl TypedScene {
    fn scene(&self) -> Result<ShowcaseScene, UserError> {
        // Read as the tools read it, so that a fault is told in the same words.
        let mut arguments = Map::new();
        arguments.insert("prompt".to_owned(), Value::String(self.prompt.replace("\r\n", "\n")));
        let seed = self.seed.trim();
        let value = seed.parse::<u64>().map_or_else(|_| Value::String(seed.to_owned()), Value::from);
        arguments.insert("seed".to_owned(), value);
        let call = ToolCall::parse("generate_image", &arguments)?;
        let hub_core::request::JobRequest::Image(request) = call.request else {
            return Err(UserError::argument("prompt", said!("Give a prompt.")));
        };
        Ok(ShowcaseScene { prompt: request.prompt.unwrap_or_default(), seed: request.seed.unwrap_or_default() })
    }
}

/// Sets what is drawn.
pub(crate) async fn set_scene(State(app): State<App>, Sent(typed): Sent<TypedScene>) -> Result<Response, WebError> {
    let saved = match typed.scene() {
        Ok(scene) => {
            let edit =
                |now: &ShowcaseScene| api::same_version(&typed.version, &app.versions.of(now)).map(|()| scene.clone());
            app.engine.showcase_scene_edit(edit).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(scene) => Ok(about(see_other("/styles?done=scene-saved"), scene.prompt)),
        Err(error) => {
            let mut page = page(&app, &ListQuery::default()).await?;
            let read_version = if error.code == ErrorCode::Changed { page.scene.read_version } else { typed.version };
            page.scene = Scene { prompt: typed.prompt, seed: typed.seed, read_version };
            page.scene_fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}
