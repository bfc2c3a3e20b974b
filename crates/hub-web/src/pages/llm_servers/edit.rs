//! One LLM server: its form. The key goes in and never comes out.

use axum::{
    extract::{Path, State},
    response::{Html, Response},
};
use hub_core::{
    error::UserError,
    ids::LlmServerId,
    server::{LlmDialect, LlmServer},
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Frame,
        form::{Fault, Sent, refused, ticked},
        html, see_other,
    },
    key_of,
};
use crate::{
    api::{self, Dialect, LlmServerBody},
    audit::about,
    error::WebError,
    lookup,
    render::Page,
    router::App,
    said,
};

/// Fields that a fault can stand beside.
const FIELDS: [&str; 5] = ["name", "base_url", "dialect", "api_key", "gpu"];

/// The page of one LLM server, stored or not yet.
#[derive(Debug, Serialize)]
pub(crate) struct LlmServerPage {
    frame: Frame,
    /// Where the form goes.
    action: String,
    delete_path: Option<String>,
    typed: Typed,
    /// Where the stored key is kept, when there is one.
    key: Option<String>,
    /// A key was typed that is not shown again.
    secrets_gone: bool,
    fault: Option<Fault>,
}

/// The form as typed. The key is not shown again: it would land in the page.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    name: String,
    base_url: String,
    dialect: String,
    #[serde(skip_serializing)]
    api_key: String,
    /// Ticked: the stored key goes.
    forget_key: String,
    gpu: String,
    enabled: String,
    /// Version that was read, so that nobody's change is overwritten unseen.
    version: String,
}

impl Typed {
    fn of(server: &LlmServer, version: String) -> Self {
        Self {
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            dialect: match server.dialect {
                LlmDialect::Ollama => "ollama".to_owned(),
                LlmDialect::OpenAi => "openai".to_owned(),
            },
            gpu: server.gpu.clone().unwrap_or_default(),
            enabled: if server.enabled { "on".to_owned() } else { String::new() },
            version,
            ..Self::default()
        }
    }

    /// An empty form, as it is usually filled.
    fn fresh() -> Self {
        Self { dialect: "ollama".to_owned(), enabled: "on".to_owned(), ..Self::default() }
    }

    fn server(&self, id: LlmServerId, stored: Option<&LlmServer>) -> Result<LlmServer, UserError> {
        let dialect = match self.dialect.as_str() {
            "" | "ollama" => Dialect::Ollama,
            "openai" => Dialect::Openai,
            _ => {
                return Err(UserError::argument("dialect", said!("The kind of server is none of the known ones."))
                    .with_valid(["ollama", "openai"]));
            }
        };
        let key = self.api_key.trim();
        let body = LlmServerBody {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            dialect: Some(dialect),
            api_key: if ticked(&self.forget_key) {
                Some(String::new())
            } else {
                Some(key.to_owned()).filter(|key| !key.is_empty())
            },
            gpu: Some(self.gpu.clone()),
            enabled: Some(ticked(&self.enabled)),
        };
        body.into_server(id, stored)
    }
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Html<String>, WebError> {
    let server = lookup::llm_server(&app, &id).await?;
    let typed = Typed::of(&server, app.versions.of(&server));
    html(&app, &page(Some(&server), typed, None))
}

pub(crate) async fn create(State(app): State<App>) -> Result<Html<String>, WebError> {
    html(&app, &page(None, Typed::fresh(), None))
}

pub(crate) async fn add(State(app): State<App>, Sent(typed): Sent<Typed>) -> Result<Response, WebError> {
    let added = match typed.server(LlmServerId::new(), None) {
        Ok(server) => app.engine.llm_server_create(server).await,
        Err(error) => Err(error),
    };
    match added {
        Ok(server) => Ok(about(see_other("/llm-servers?done=llm-server-added"), server.name)),
        Err(error) => refused(&app, &error, &page(None, typed, Some(&error))),
    }
}

pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(mut typed): Sent<Typed>,
) -> Result<Response, WebError> {
    let known = lookup::llm_server(&app, &id).await?;
    let saved = app.engine.llm_server_edit(known.id, |stored| {
        api::same_version(&typed.version, &app.versions.of(stored))?;
        typed.server(stored.id, Some(stored))
    });
    match saved.await {
        Ok(_) => Ok(see_other("/llm-servers?done=llm-server-saved")),
        Err(error) => {
            let now = lookup::llm_server(&app, &id).await?;
            // What is typed stays; sending it again then overwrites knowingly.
            typed.version = app.versions.of(&now);
            refused(&app, &error, &page(Some(&now), typed, Some(&error)))
        }
    }
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let known = lookup::llm_server(&app, &id).await?;
    app.engine.llm_server_delete(known.id).await?;
    Ok(see_other("/llm-servers?done=llm-server-deleted"))
}

fn page(stored: Option<&LlmServer>, typed: Typed, error: Option<&UserError>) -> LlmServerPage {
    let path = stored.map(|server| super::path_of(server.id));
    LlmServerPage {
        frame: Frame::new(
            "llm_servers",
            stored.map_or_else(|| said!("New LLM server").to_string(), |server| server.name.clone()),
        ),
        action: path.clone().unwrap_or_else(|| "/llm-servers/new".to_owned()),
        delete_path: path.map(|path| format!("{path}/delete")),
        key: stored.filter(|server| server.api_key.is_some()).map(key_of),
        secrets_gone: !typed.api_key.trim().is_empty(),
        fault: error.map(|error| Fault::of(error).elsewhere(&FIELDS)),
        typed,
    }
}

impl Page for LlmServerPage {
    const TEMPLATE: &'static str = "pages/llm_server.html";

    #[cfg(test)]
    fn sample() -> Self {
        let server = super::sample_server();
        let mut typed = Typed::of(&server, "0".to_owned());
        typed.api_key = "hunter2".to_owned();
        let error = UserError::argument("api_key", super::super::shown::sample::HOSTILE);
        page(Some(&server), typed, Some(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_filled_from_a_server_stands_for_it_and_its_key_stays() {
        let server = super::super::sample_server();
        let typed = Typed::of(&server, String::new());
        assert_eq!(typed.server(server.id, Some(&server)).expect("as it was"), server);
        let forgets = Typed { forget_key: "on".to_owned(), ..Typed::of(&server, String::new()) };
        assert_eq!(forgets.server(server.id, Some(&server)).expect("valid").api_key, None);
        let moved = Typed { base_url: "http://elsewhere.test".to_owned(), ..Typed::of(&server, String::new()) };
        let error = moved.server(server.id, Some(&server)).expect_err("the key is not sent elsewhere");
        assert_eq!(error.argument.as_deref(), Some("api_key"));
    }
}
