//! From an empty hub to its first picture: a server, something it can make, a picture, an agent that asks for
//! more. Each step tells whether it is done; all of it works without script.

mod picture;
mod types;

use std::time::Duration;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{Html, Response},
};
use hub_core::{
    error::UserError,
    ids::{JobId, RenderTypeId},
    job::JobStateKind,
    request::ToolCall,
    server::{BaseUrl, InvalidBaseUrl, LlmDialect, NewServer},
};
use hub_engine::Nearby;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::picture::FirstPictureLive;
use self::{
    picture::FirstPicture,
    types::{ShownType, Sources},
};
use super::{
    Flash, Frame,
    form::{Fault, Sent, refused},
    html, see_other,
    servers::ShownServer,
};
use crate::{
    api, asker::Asker, audit, error::WebError, language::apart, links, live, presses, render::Page, router::App, said,
};

/// How long the answer to a new server waits for what the server says of itself.
const SETTLE_LIMIT: Duration = Duration::from_secs(4);
/// How long the page waits for what is nearby: on this machine longer than is needed, and shorter than is noticed.
const PATIENCE: Duration = Duration::from_millis(25);
/// What the first picture shows, unless the render type has an example.
const FIRST_PROMPT: &str = "a red fox in fresh snow, morning light";
/// Numbers tried to find a name that is free.
const NAMES_TRIED: u32 = 1000;

/// The page.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that the page says or leaves out")]
pub(crate) struct StartPage {
    frame: Frame,
    servers: Vec<ShownServer>,
    /// At least one takes work.
    works: bool,
    /// What answered nearby and is not added yet.
    found: Vec<Found>,
    /// Where was looked, when nothing was found.
    looked: Vec<String>,
    /// Somewhere the look goes on.
    looking: bool,
    types: Vec<ShownType>,
    checkpoints: Vec<String>,
    /// Render types that a checkpoint can be put into.
    likes: Vec<Choice>,
    makeable: Vec<Choice>,
    picture: Option<FirstPicture>,
    /// Pictures were made before.
    made: bool,
    has_llm: bool,
    llm_found: Vec<FoundLlm>,
    llm_looked: Vec<String>,
    mcp_url: String,
    typed: Typed,
    fault: Option<Fault>,
}

/// A ComfyUI that answered.
#[derive(Debug, Serialize)]
struct Found {
    base_url: String,
    about: String,
}

/// An Ollama that answered.
#[derive(Debug, Serialize)]
struct FoundLlm {
    base_url: String,
    about: String,
    sees: bool,
    models: usize,
}

#[derive(Debug, Serialize)]
struct Choice {
    id: String,
    title: String,
    chosen: bool,
}

/// What is typed in one of the forms.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    base_url: String,
    prompt: String,
    render_type: String,
    file: String,
    like: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StartQuery {
    job: Option<String>,
    done: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<StartQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let job = query.job.as_deref().map(api::parse_id).transpose()?;
    let mut page = page(&app, &headers, job, Typed::default(), None).await?;
    page.frame.flash = Flash::of(query.done.as_deref());
    html(&app, &page)
}

/// Adds a server that was found or whose address was typed, and waits a moment for what it says of itself.
pub(crate) async fn add_server(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let added = async {
        let url = address(&typed.base_url)?;
        // Sent twice, or added by somebody else meanwhile: it is there, and that was wanted.
        if let Some(known) = app.engine.servers().into_iter().find(|view| view.server.base_url == url) {
            return Ok((known.id(), None));
        }
        let server = app.engine.server_add(NewServer::named(free_name(&app), url)).await?;
        Ok((server.id, Some(server.name)))
    };
    match added.await {
        Ok((id, new)) => {
            app.engine.server_settled(id, SETTLE_LIMIT).await;
            Ok(audit::about_all(see_other("/start?done=server-added#server"), &new))
        }
        Err(error) => refuse(&app, &headers, typed, &error).await,
    }
}

/// Adds an Ollama and gives it the roles that nobody plays.
pub(crate) async fn add_llm(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = app.engine.store().llm_server_list().await?;
    let added = async {
        let url: BaseUrl = address(&typed.base_url)?;
        if known.iter().any(|server| server.base_url == url) {
            return Ok(None);
        }
        // What was found is asked again: a form is no place to be told what a server can do.
        let sees = app.engine.look_nearby(None).await.ollama.iter().any(|found| found.base_url == url && found.sees);
        let taken: Vec<String> = known.into_iter().map(|server| server.name).collect();
        let server = app.engine.llm_server_add(&numbered("ollama", &taken), url, LlmDialect::Ollama, None).await?;
        app.engine.llm_take_free_roles(server.id, sees).await?;
        Ok::<_, UserError>(Some(server.name))
    };
    match added.await {
        Ok(new) => Ok(audit::about_all(see_other("/start?done=llm-connected#llm"), &new)),
        Err(error) => refuse(&app, &headers, typed, &error).await,
    }
}

/// Makes a render type for a checkpoint that a server has.
pub(crate) async fn add_type(
    State(app): State<App>,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let like: Result<RenderTypeId, _> = typed.like.parse();
    let made = match like {
        Ok(like) => app.engine.render_type_for_model(like, &typed.file).await,
        Err(_) => Err(UserError::argument("like", said!("Choose the kind of model that the file is."))),
    };
    match made {
        Ok(row) => Ok(audit::about(see_other("/start?done=render-type-added#types"), row.name)),
        Err(error) => refuse(&app, &headers, typed, &error).await,
    }
}

/// Makes the first picture.
pub(crate) async fn make(
    State(app): State<App>,
    Asker(caller): Asker,
    headers: HeaderMap,
    Sent(typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let mut arguments = Map::new();
    arguments.insert("prompt".to_owned(), Value::String(typed.prompt.clone()));
    if !typed.render_type.is_empty() {
        arguments.insert("render_type".to_owned(), Value::String(typed.render_type.clone()));
    }
    let submitted = match ToolCall::parse("generate_image", &arguments) {
        Ok(mut call) => {
            call.options.idempotency_key = Some(presses::wish());
            app.engine.submit(&caller, call).await
        }
        Err(error) => Err(error),
    };
    match submitted {
        Ok(submitted) => Ok(see_other(&format!("/start?job={}#picture", submitted.job.id))),
        Err(error) => refuse(&app, &headers, typed, &error).await,
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct LiveQuery {
    job: String,
}

/// Redraws the first picture as it is made.
pub(crate) async fn follow(
    State(app): State<App>,
    query: Result<Query<LiveQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let id = api::parse_id(&query.job)?;
    app.engine.view(id).await?;
    let own = app.clone();
    live::on_job(&app, id, move |_| {
        let app = own.clone();
        async move { app.renderer.render(&FirstPictureLive { picture: FirstPicture::load(&app, id).await? }) }
    })
    .await
}

async fn refuse(app: &App, headers: &HeaderMap, typed: Typed, error: &UserError) -> Result<Response, WebError> {
    let page = page(app, headers, None, typed, Some(error)).await?;
    refused(app, error, &page)
}

fn address(text: &str) -> Result<BaseUrl, UserError> {
    text.trim().parse().map_err(|error: InvalidBaseUrl| {
        UserError::argument("base_url", said!("This is no address of a server: {error}.", error))
            .with_hint(said!("Write it like http://127.0.0.1:8188."))
    })
}

/// `comfyui`, or with the first free number behind it.
fn free_name(app: &App) -> String {
    let taken: Vec<String> = app.engine.servers().into_iter().map(|view| view.server.name).collect();
    numbered("comfyui", &taken)
}

fn numbered(name: &str, taken: &[String]) -> String {
    let names = std::iter::once(name.to_owned()).chain((2..NAMES_TRIED).map(|number| format!("{name}-{number}")));
    let mut free = names.filter(|name| !taken.contains(name));
    free.next().unwrap_or_else(|| name.to_owned())
}

async fn page(
    app: &App,
    headers: &HeaderMap,
    job: Option<JobId>,
    mut typed: Typed,
    error: Option<&UserError>,
) -> Result<StartPage, WebError> {
    let views = app.engine.servers();
    let works = views.iter().any(|view| view.state.takes_work());
    let llm_servers = app.engine.store().llm_server_list().await?;
    // Looked for only while something is missing: a page is no reason to knock at doors.
    let complete = works && !llm_servers.is_empty();
    let nearby = if complete { Nearby::default() } else { app.engine.look_nearby(Some(PATIENCE)).await };
    let looking = nearby.looking;
    let places = &app.engine.config().usual_places;
    let shown = |urls: &[BaseUrl]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
    let known = |url: &BaseUrl| views.iter().any(|view| view.server.base_url == *url);
    let catalogue = app.engine.catalogue();
    let rows = types::shown(&catalogue, &views, &Sources::new(app.engine.model_sources()?));
    let picture = match job {
        Some(id) => Some(FirstPicture::load(app, id).await?),
        None => None,
    };
    let makeable: Vec<&ShownType> = rows.iter().filter(|row| row.ready).collect();
    if typed.render_type.is_empty() {
        let first = makeable.iter().find(|row| row.is_default).or(makeable.first());
        typed.render_type = first.map(|row| row.name.clone()).unwrap_or_default();
    }
    if typed.prompt.is_empty() && error.is_none() {
        FIRST_PROMPT.clone_into(&mut typed.prompt);
    }
    let made = app.engine.store().job_counts().await?.get(&JobStateKind::Succeeded).is_some_and(|count| *count > 0);
    let found = nearby.comfyui.into_iter().filter(|found| !known(&found.base_url)).map(|found| Found {
        about: about(found.version.as_deref(), &found.devices),
        base_url: found.base_url.to_string(),
    });
    let llm_found =
        nearby.ollama.into_iter().filter(|found| !llm_servers.iter().any(|server| server.base_url == found.base_url));
    Ok(StartPage {
        frame: Frame::new("dashboard", said!("First picture")),
        works,
        found: found.collect(),
        looked: shown(&places.comfyui),
        looking,
        makeable: makeable
            .iter()
            .map(|row| Choice { id: row.name.clone(), title: row.title.clone(), chosen: row.name == typed.render_type })
            .collect(),
        likes: types::likes(&rows, &typed.like),
        checkpoints: if works { app.engine.checkpoints() } else { Vec::new() },
        types: rows,
        picture,
        made,
        has_llm: !llm_servers.is_empty(),
        llm_found: llm_found
            .map(|found| FoundLlm {
                about: format!("Ollama {}", found.version),
                base_url: found.base_url.to_string(),
                sees: found.sees,
                models: found.models.len(),
            })
            .collect(),
        llm_looked: shown(&places.ollama),
        mcp_url: format!("{}/mcp", links::base_url(app, headers)),
        servers: views.into_iter().map(|view| ShownServer::of(view, app.engine.store().clock().now())).collect(),
        typed,
        fault: error.map(Fault::of),
    })
}

fn about(version: Option<&str>, devices: &[String]) -> String {
    let version = version.map_or_else(|| "ComfyUI".to_owned(), |version| format!("ComfyUI {version}"));
    if devices.is_empty() {
        version
    } else {
        said!("{version} on {devices}", version, devices = apart::list(devices, ", "))
    }
}

impl Page for StartPage {
    const TEMPLATE: &'static str = "pages/start.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::HOSTILE;
        let text = || HOSTILE.to_owned();
        Self {
            frame: Frame::new("dashboard", said!("First picture")),
            servers: vec![ShownServer::sample()],
            works: true,
            found: vec![Found { base_url: text(), about: text() }],
            looked: vec![text()],
            looking: true,
            types: vec![ShownType::sample(true), ShownType::sample(false)],
            checkpoints: vec![text()],
            likes: vec![Choice { id: text(), title: text(), chosen: true }],
            makeable: vec![Choice { id: text(), title: text(), chosen: true }],
            picture: Some(FirstPicture::sample()),
            made: false,
            has_llm: false,
            llm_found: vec![FoundLlm { base_url: text(), about: text(), sees: true, models: 2 }],
            llm_looked: vec![text()],
            mcp_url: "http://hub.test:8001/mcp".to_owned(),
            typed: Typed { base_url: text(), prompt: text(), render_type: text(), file: text(), like: text() },
            fault: Some(Fault { field: "base_url".to_owned(), text: text(), changed: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(numbered("comfyui", &taken(&[])), "comfyui");
        assert_eq!(numbered("comfyui", &taken(&["comfyui", "comfyui-3"])), "comfyui-2");
    }
}
