//! The JSON API, `/api/v1`: for scripts and for whoever prefers it to the pages.
//!
//! One file per noun. Bodies are parsed into types that refuse unknown fields by name; answers never
//! hold a secret; every fault is a problem document.

mod body;
mod catalogue;
mod images;
mod jobs;
mod llm_servers;
mod render_types;
mod servers;
mod styles;
mod workflows;

use axum::routing::{get, post, put};

pub(crate) use jobs::{parse_cursor, parse_id};
pub(crate) use servers::{parse_auth, parse_base_url, parse_name};

use crate::router::Routes;

/// Routes of the API.
pub(crate) fn routes() -> Routes {
    vec![
        ("/api/v1/jobs", get(jobs::list).post(jobs::submit)),
        ("/api/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel)),
        ("/api/v1/jobs/{id}/events", get(jobs::events)),
        ("/api/v1/images", post(images::upload)),
        ("/api/v1/images/{id}", get(images::show)),
        ("/api/v1/catalogue", get(catalogue::show)),
        ("/api/v1/servers", get(servers::list).post(servers::add)),
        ("/api/v1/servers/{id}", get(servers::show).delete(servers::remove)),
        ("/api/v1/workflows", get(workflows::list).post(workflows::import)),
        ("/api/v1/workflows/{id}", get(workflows::show)),
        ("/api/v1/render-types", get(render_types::list).post(render_types::add)),
        ("/api/v1/render-types/{id}", get(render_types::show).put(render_types::replace).delete(render_types::remove)),
        ("/api/v1/styles", get(styles::list).post(styles::add)),
        ("/api/v1/styles/{id}", get(styles::show).put(styles::replace).delete(styles::remove)),
        ("/api/v1/llm-servers", get(llm_servers::list).post(llm_servers::add)),
        ("/api/v1/llm-servers/{id}", get(llm_servers::show).delete(llm_servers::remove)),
        ("/api/v1/llm-roles", get(llm_servers::roles)),
        ("/api/v1/llm-roles/{role}", put(llm_servers::assign).delete(llm_servers::unassign)),
    ]
}
