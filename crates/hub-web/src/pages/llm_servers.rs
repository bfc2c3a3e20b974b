//! LLM servers: what there is, which role each plays, and whether it answers.

mod edit;

use std::time::Duration;

use axum::{
    extract::{Path, State},
    response::{Html, Response},
};
use hub_core::{
    error::UserError,
    ids::LlmServerId,
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer},
};
use hub_engine::LlmModelView;
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::edit::LlmServerPage;
pub(crate) use self::edit::{add, create, remove, save, show as show_one};
use super::{
    Frame,
    form::{Done, Fault, Sent, refused, shown},
    html, see_other,
};
use crate::{
    api,
    error::WebError,
    language::{Said, apart},
    lookup,
    render::Page,
    router::App,
    said,
};

/// Longest time that a test waits for an answer.
const TEST_LIMIT: Duration = Duration::from_secs(10);
/// Models shown after a test.
const MODELS_SHOWN: usize = 60;

/// What a role is called, and what it is for.
fn words(role: LlmRole) -> (Said, Said) {
    match role {
        LlmRole::Enhance => (said!("Enhance prompts"), said!("Adds detail to prompts and translates them to English.")),
        LlmRole::Describe => (said!("Describe pictures"), said!("Needs a model that can see, such as a vision model.")),
        LlmRole::PromptGenerator => {
            (said!("Generate prompts"), said!("Writes prompts from a subject, or from nothing."))
        }
    }
}

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct LlmServersPage {
    frame: Frame,
    servers: Vec<ShownLlm>,
    roles: Vec<ShownRole>,
    fault: Option<Fault>,
    /// Role whose form was refused.
    fault_role: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownLlm {
    name: String,
    base_url: String,
    dialect: Said,
    /// Where the key is kept; never the key.
    key: String,
    gpu: Option<String>,
    enabled: bool,
    roles: Vec<Said>,
    path: String,
    test_path: String,
    delete_path: String,
    test: Option<ShownTest>,
}

/// How a test went.
#[derive(Debug, Serialize)]
struct ShownTest {
    ok: bool,
    text: String,
    models: Vec<ShownModel>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct ShownModel {
    name: String,
    /// What it can do, as far as its server says.
    can: Vec<Said>,
}

#[derive(Debug, Serialize)]
struct ShownRole {
    name: &'static str,
    title: Said,
    about: Said,
    model: String,
    servers: Vec<Choice>,
    played: bool,
    /// Version that was read. Not called `version`: that is the program's.
    read_version: String,
    /// Models that were just listed and can do what the role needs.
    models: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Choice {
    id: String,
    name: String,
    chosen: bool,
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = page(&app).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Asks a server for its models, and shows the page with its answer.
pub(crate) async fn test(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let server = lookup::llm_server(&app, &id).await?;
    let started = app.engine.store().clock().now();
    let asked = tokio::time::timeout(TEST_LIMIT, app.engine.llm_models_told(server.id)).await;
    let took = super::shown::duration(app.engine.store().clock().now() - started);
    let mut page = page(&app).await?;
    let test = match asked {
        Ok(Ok(models)) => {
            for row in &mut page.roles {
                row.models =
                    models.iter().filter(|model| fits(row.name, model)).map(|model| model.name.clone()).collect();
            }
            ShownTest::answered(&models, &took)
        }
        Ok(Err(error)) => ShownTest::failed(apart::error(&error).explain()),
        Err(_) => ShownTest::failed(said!("It did not answer within {s} s.", s = TEST_LIMIT.as_secs())),
    };
    if let Some(row) = page.servers.iter_mut().find(|row| row.path == path_of(server.id)) {
        row.test = Some(test);
    }
    shown(&app, &page)
}

/// Whether a model can do what a role needs, or may: of some nobody says.
fn fits(role: &str, model: &LlmModelView) -> bool {
    model.writes.unwrap_or(true) && (role != "describe" || model.sees.unwrap_or(true))
}

/// Who shall play a role.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RoleForm {
    server: String,
    model: String,
    /// Version that was read.
    version: String,
}

pub(crate) async fn assign(
    State(app): State<App>,
    Path(role): Path<String>,
    Sent(form): Sent<RoleForm>,
) -> Result<Response, WebError> {
    let known = LlmRole::ALL.into_iter().find(|known| known.as_str() == role);
    let role = known.ok_or_else(|| WebError::missing("role", &role))?;
    let given = match parse_assignment(&form) {
        Ok(given) => {
            let unchanged = |now: Option<&LlmAssignment>| api::same_version(&form.version, &app.versions.of(&now));
            app.engine.llm_assign_if(role, given.clone(), unchanged).await.map(|()| given.is_some())
        }
        Err(error) => Err(error),
    };
    match given {
        Ok(true) => Ok(see_other("/llm-servers?done=llm-role-given")),
        Ok(false) => Ok(see_other("/llm-servers?done=llm-role-taken")),
        Err(error) => {
            let mut page = page(&app).await?;
            let fault = Fault::of(&error);
            if let Some(row) = page.roles.iter_mut().find(|row| row.name == role.as_str()) {
                row.keep(form, fault.changed);
            }
            page.fault = Some(fault);
            page.fault_role = role.as_str();
            refused(&app, &error, &page)
        }
    }
}

fn parse_assignment(form: &RoleForm) -> Result<Option<LlmAssignment>, UserError> {
    if form.server.is_empty() {
        let without = form.model.trim().is_empty();
        return without.then_some(None).ok_or_else(|| {
            UserError::argument("server", said!("Choose the server that runs this model, or leave the model empty."))
        });
    }
    let server = form.server.parse().map_err(|_| {
        UserError::argument("server", said!("This LLM server is not there (any more); choose another."))
    })?;
    let model = form.model.trim();
    Ok(Some(LlmAssignment { server, model: Some(model.to_owned()).filter(|model| !model.is_empty()) }))
}

async fn page(app: &App) -> Result<LlmServersPage, WebError> {
    let store = app.engine.store();
    let servers = store.llm_server_list().await?;
    let mut roles = Vec::with_capacity(LlmRole::ALL.len());
    let mut played: Vec<(LlmServerId, Said)> = Vec::new();
    for role in LlmRole::ALL {
        let (title, about) = words(role);
        let assignment = store.llm_assignment(role).await?;
        if let Some(assignment) = &assignment {
            played.push((assignment.server, title));
        }
        let version = app.versions.of(&assignment);
        roles.push(ShownRole::of((role.as_str(), title, about), assignment.as_ref(), version, &servers));
    }
    let shown = servers.iter().map(|server| {
        let roles = played.iter().filter(|(id, _)| *id == server.id).map(|(_, title)| *title).collect();
        ShownLlm::of(server, roles)
    });
    Ok(LlmServersPage {
        frame: Frame::new("llm_servers", said!("LLM servers")),
        servers: shown.collect(),
        roles,
        fault: None,
        fault_role: "",
    })
}

fn path_of(id: LlmServerId) -> String {
    format!("/llm-servers/{id}")
}

impl ShownLlm {
    fn of(server: &LlmServer, roles: Vec<Said>) -> Self {
        let path = path_of(server.id);
        Self {
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            dialect: match server.dialect {
                LlmDialect::Ollama => said!("Ollama"),
                LlmDialect::OpenAi => said!("OpenAI-compatible"),
            },
            key: key_of(server),
            gpu: server.gpu.clone(),
            enabled: server.enabled,
            roles,
            test_path: format!("{path}/test"),
            delete_path: format!("{path}/delete"),
            path,
            test: None,
        }
    }
}

/// Where the key is kept, in words.
fn key_of(server: &LlmServer) -> String {
    match server.api_key.as_ref().and_then(api::place) {
        None => said!("none").to_string(),
        Some(place) if place == "stored" => said!("stored here").to_string(),
        Some(place) => place,
    }
}

impl ShownTest {
    fn answered(models: &[LlmModelView], took: &str) -> Self {
        let all = models.len();
        let models: Vec<ShownModel> = models.iter().take(MODELS_SHOWN).map(ShownModel::of).collect();
        let what = match all {
            0 => said!("It answers, but has no model yet.").to_string(),
            1 => said!("It answers, after {took}, with 1 model:", took),
            all => said!("It answers, after {took}, with {all} models:", took, all),
        };
        Self { ok: all > 0, text: what, more: all - models.len(), models }
    }

    fn failed(text: String) -> Self {
        Self { ok: false, text, models: Vec::new(), more: 0 }
    }
}

impl ShownModel {
    fn of(model: &LlmModelView) -> Self {
        let can = [(model.sees, said!("sees pictures")), (model.writes, said!("writes text"))];
        let can = can.into_iter().filter(|(can, _)| *can == Some(true)).map(|(_, word)| word).collect();
        Self { name: model.name.clone(), can }
    }
}

impl ShownRole {
    fn of(
        (name, title, about): (&'static str, Said, Said),
        assignment: Option<&LlmAssignment>,
        read_version: String,
        servers: &[LlmServer],
    ) -> Self {
        Self {
            name,
            title,
            about,
            model: assignment.and_then(|assignment| assignment.model.clone()).unwrap_or_default(),
            servers: servers
                .iter()
                .map(|server| Choice {
                    id: server.id.to_string(),
                    name: server.name.clone(),
                    chosen: assignment.is_some_and(|assignment| assignment.server == server.id),
                })
                .collect(),
            played: assignment.is_some(),
            read_version,
            models: Vec::new(),
        }
    }

    /// What was typed stays. A form that others were quicker than is taken when it is sent once more.
    fn keep(&mut self, typed: RoleForm, changed: bool) {
        for choice in &mut self.servers {
            choice.chosen = choice.id == typed.server;
        }
        self.model = typed.model;
        if !changed {
            self.read_version = typed.version;
        }
    }
}

#[cfg(test)]
pub(super) fn sample_server() -> LlmServer {
    use super::shown::sample::HOSTILE;
    LlmServer {
        id: LlmServerId::from_uuid(uuid::Uuid::from_u128(6)),
        name: HOSTILE.to_owned(),
        base_url: "http://192.0.2.8:11434".parse().expect("valid"),
        dialect: LlmDialect::OpenAi,
        api_key: Some(hub_core::server::SecretSource::from("hunter2".to_owned())),
        gpu: Some("<gpu>\u{202e}".to_owned()),
        enabled: false,
    }
}

impl Page for LlmServersPage {
    const TEMPLATE: &'static str = "pages/llm_servers.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::HOSTILE;
        let server = sample_server();
        let assignment = LlmAssignment { server: server.id, model: Some(HOSTILE.to_owned()) };
        let mut shown = ShownLlm::of(&server, vec![said!("Enhance prompts")]);
        let model = LlmModelView { name: HOSTILE.to_owned(), writes: Some(true), sees: Some(true) };
        shown.test = Some(ShownTest::answered(&[model], "3 s"));
        let mut failed = ShownLlm::of(&server, Vec::new());
        failed.test = Some(ShownTest::failed(HOSTILE.to_owned()));
        let (title, about) = words(LlmRole::Enhance);
        let mut role =
            ShownRole::of(("enhance", title, about), Some(&assignment), "0".to_owned(), std::slice::from_ref(&server));
        role.models.push(HOSTILE.to_owned());
        Self {
            frame: Frame::new("llm_servers", said!("LLM servers")),
            servers: vec![shown, failed],
            roles: vec![role],
            fault: Some(Fault { field: "server".to_owned(), text: HOSTILE.to_owned(), changed: false }),
            fault_role: "enhance",
        }
    }
}
