//! The JSON API, `/api/v1`: for scripts and for whoever prefers it to the pages.
//!
//! One file per noun. Bodies are parsed into types that refuse unknown fields by name; answers never
//! hold a secret; every fault is a problem document. Routes and document are made from the same
//! handlers, so neither can lack what the other has.

mod answers;
mod backup;
mod body;
mod caller_weights;
mod catalogue;
mod config;
mod document;
mod etag;
mod events;
mod images;
mod jobs;
mod keys;
mod llm_roles;
mod llm_servers;
mod llm_settings;
mod render_types;
mod server_tests;
mod servers;
mod settings;
mod showcases;
mod statistics;
mod styles;
mod workflow_tests;
mod workflows;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use backup::TAR;
pub(crate) use etag::{Versions, same_version};
pub(crate) use jobs::{
    list::{FilterBody as JobFilterBody, parse_cursor, parse_states},
    parse_id,
};
pub(crate) use llm_servers::{Dialect, LlmServerBody};
pub(crate) use servers::{AuthRecord, ServerBody, parse_name, place};
pub(crate) use styles::OTHER_CATEGORY;

use crate::router::App;

/// Routes of the API, and the document that describes them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::frame())
        .routes(routes!(jobs::list::list, jobs::submit))
        .routes(routes!(jobs::acts::cancel_many))
        .routes(routes!(jobs::story::show, jobs::cancel))
        .routes(routes!(jobs::acts::retry))
        .routes(routes!(jobs::acts::prioritise))
        .routes(routes!(jobs::events))
        .routes(routes!(events::follow))
        .routes(routes!(events::stats))
        .routes(routes!(statistics::show))
        .routes(routes!(images::upload))
        .routes(routes!(images::zip))
        .routes(routes!(images::show, images::remove))
        .routes(routes!(caller_weights::show, caller_weights::replace))
        .routes(routes!(catalogue::show))
        .routes(routes!(servers::list, servers::add))
        .routes(routes!(servers::show, servers::replace, servers::change, servers::remove))
        .routes(routes!(server_tests::several))
        .routes(routes!(server_tests::one))
        .routes(routes!(server_tests::refresh))
        .routes(routes!(server_tests::say))
        .routes(routes!(server_tests::alerts))
        .routes(routes!(workflows::list, workflows::import))
        .routes(routes!(workflows::show, workflows::remove))
        .routes(routes!(workflows::versions))
        .routes(routes!(workflows::show_version))
        .routes(routes!(workflows::restore))
        .routes(routes!(workflow_tests::run))
        .routes(routes!(workflow_tests::check))
        .routes(routes!(render_types::list, render_types::add))
        .routes(routes!(render_types::show, render_types::replace, render_types::change, render_types::remove))
        .routes(routes!(styles::list, styles::add))
        .routes(routes!(styles::show, styles::replace, styles::change, styles::remove))
        .routes(routes!(showcases::of_style))
        .routes(routes!(showcases::of_render_type))
        .routes(routes!(showcases::missing))
        .routes(routes!(showcases::scene, showcases::set_scene))
        .routes(routes!(llm_servers::list, llm_servers::add))
        .routes(routes!(llm_servers::show, llm_servers::replace, llm_servers::change, llm_servers::remove))
        .routes(routes!(llm_servers::models))
        .routes(routes!(llm_roles::list))
        .routes(routes!(llm_roles::show, llm_roles::assign, llm_roles::unassign))
        .routes(routes!(settings::list, settings::replace, settings::change))
        .routes(routes!(llm_settings::show_describe, llm_settings::change_describe, llm_settings::reset_describe))
        .routes(routes!(llm_settings::show_generator, llm_settings::change_generator, llm_settings::reset_generator))
        .routes(routes!(backup::download))
        .routes(routes!(config::export))
        .routes(routes!(config::import))
        .routes(routes!(keys::list, keys::add))
        .routes(routes!(keys::show, keys::change, keys::revoke))
        .routes(routes!(keys::log))
        .routes(routes!(document::show))
}

/// The document alone.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    document::finished(routes().into_openapi())
}
