//! What a change is about, by its name.

use axum::{
    RequestExt as _,
    extract::{MatchedPath, RawPathParams, Request},
};

use crate::{lookup, router::App};

/// The name of what a request's path names. To be asked before the request is served: what is deleted has no name
/// afterwards.
pub(super) async fn named_by(app: &App, request: &mut Request) -> Option<String> {
    let route = request.extensions().get::<MatchedPath>()?.clone();
    let params = request.extract_parts::<RawPathParams>().await.ok()?;
    let noun = noun_of(route.as_str());
    let mut names = Vec::new();
    for (param, given) in &params {
        // Whatever else stands in a path is a name: of a role, of a task, of a workflow beside its server.
        names.push(if param == "id" { name_of(app, noun, given).await? } else { given.to_owned() });
    }
    match noun {
        "describe-templates" => Some("describe".to_owned()),
        "prompt-generator" => Some("generator".to_owned()),
        _ => Some(names.join(": ")).filter(|name| !name.is_empty()),
    }
}

/// The name of what an answer leads to, which was just made.
pub(super) async fn made_at(app: &App, location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next()?;
    let parts: Vec<&str> = bare(path).split('/').collect();
    match parts.as_slice() {
        ["", noun, id] => name_of(app, noun, id).await,
        _ => None,
    }
}

/// The path of a page, or of the API without what all of its paths begin with.
pub(super) fn bare(path: &str) -> &str {
    path.strip_prefix("/api/v1").unwrap_or(path)
}

/// `styles` of `/api/v1/styles/{id}`.
fn noun_of(route: &str) -> &str {
    bare(route).split('/').nth(1).unwrap_or_default()
}

async fn name_of(app: &App, noun: &str, given: &str) -> Option<String> {
    match noun {
        "servers" => lookup::server(app, given).ok().map(|view| view.server.name),
        "styles" => lookup::style(app, given).ok().map(|style| style.name),
        "render-types" => lookup::render_type(app, given).ok().map(|row| row.name),
        "llm-servers" => lookup::llm_server(app, given).await.ok().map(|server| server.name),
        "workflows" => lookup::workflow(app, given).await.ok().map(|workflow| workflow.name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noun_of_a_page_is_that_of_the_api() {
        for route in ["/styles/{id}/delete", "/api/v1/styles/{id}", "/styles"] {
            assert_eq!(noun_of(route), "styles", "{route}");
        }
        assert_eq!(noun_of("/"), "");
    }
}
