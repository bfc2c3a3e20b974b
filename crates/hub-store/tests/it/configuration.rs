//! Many changes at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use hub_core::{
    catalogue::{RenderType, Style, Workflow},
    error::UserError,
    ids::{LlmServerId, ServerId, WorkflowId},
    job::JobStateKind,
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer, NewServer, Server},
};
use hub_store::{ConfigChange, Edits, JobFilter, NewJob, PastJob, StoreError, Swapped};
use serde_json::json;

use crate::{
    bed::{Bed, on_both},
    samples::{failure, queued, render_type, style},
};

on_both!(
    a_change_is_stored_whole,
    a_change_that_fails_at_its_end_leaves_no_trace,
    a_change_of_what_is_not_as_it_was_read_writes_nothing,
    servers_may_swap_their_addresses,
);

fn server(name: &str) -> Server {
    NewServer::named(name, format!("http://{name}:8188").parse().unwrap())
        .into_server(ServerId::new(), DateTime::from_timestamp_millis(1_795_000_000_000).unwrap())
}

fn workflow(name: &str, version: u32) -> Workflow {
    Workflow {
        id: WorkflowId::new(),
        name: name.to_owned(),
        version,
        graph: json!({}),
        slots: json!([]),
        description: String::new(),
    }
}

/// A job that another system ran.
fn past(key: &str, error: Option<UserError>) -> PastJob {
    let at = |text: &str| text.parse().unwrap();
    let new = NewJob { idempotency_key: Some(key.to_owned()), ..queued("a Lighthouse") };
    let (created_at, finished_at) = (at("2025-10-01T12:00:00Z"), at("2025-10-01T12:00:05Z"));
    PastJob { new, error, server: None, created_at, finished_at }
}

fn everything() -> ConfigChange {
    let server = server("gpu");
    let llm = LlmServer {
        id: LlmServerId::new(),
        name: "ollama".to_owned(),
        base_url: "http://ollama:11434".parse().unwrap(),
        dialect: LlmDialect::Ollama,
        api_key: None,
        gpu: Some("desk".to_owned()),
        enabled: true,
    };
    ConfigChange {
        server_overrides: BTreeMap::from([(server.id, BTreeMap::from([("flux".to_owned(), false)]))]),
        servers: Edits { added: vec![server], ..Edits::default() },
        llm_roles: vec![(LlmRole::Enhance, Some(LlmAssignment { server: llm.id, model: Some("m".to_owned()) }))],
        llm_servers: Edits { added: vec![llm], ..Edits::default() },
        workflows: vec![workflow("sdxl", 3), workflow("sdxl", 7)],
        render_types: Edits { added: vec![render_type("one", true)], ..Edits::default() },
        styles: Edits { added: vec![style("ink")], ..Edits::default() },
        settings: vec![("words".to_owned(), Some(json!({"a": 1}))), ("unset".to_owned(), None)],
        past_jobs: vec![past("older-1", None), past("older-2", Some(failure()))],
    }
}

async fn a_change_is_stored_whole(bed: &Bed) {
    bed.store.setting_set("unset", &1).await.unwrap();
    bed.store.render_type_save(&render_type("old", true)).await.unwrap();
    let change = everything();
    assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.server_list().await.unwrap(), change.servers.added);
    assert_eq!(bed.store.server_overrides().await.unwrap(), change.server_overrides);
    assert_eq!(bed.store.llm_server_list().await.unwrap(), change.llm_servers.added);
    assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), change.llm_roles[0].1);
    assert_eq!(bed.store.workflow_latest("sdxl").await.unwrap().unwrap().version, 7);
    assert_eq!(bed.store.style_list().await.unwrap(), change.styles.added);
    assert_eq!(bed.store.setting_get("words").await.unwrap(), Some(json!({"a": 1})));
    assert_eq!(bed.store.setting_get::<u32>("unset").await.unwrap(), None);
    let defaults: Vec<RenderType> =
        bed.store.render_type_list().await.unwrap().into_iter().filter(|row| row.is_default).collect();
    assert_eq!(defaults, change.render_types.added, "the new default took it from the old one");

    let of_lighthouses = JobFilter { text: Some("lighthouse".to_owned()), ..JobFilter::default() };
    let jobs = async || bed.store.job_list(&of_lighthouses, None, 10).await.unwrap().jobs;
    let states: BTreeSet<JobStateKind> = jobs().await.iter().map(|job| job.state.kind()).collect();
    assert_eq!(states, BTreeSet::from([JobStateKind::Succeeded, JobStateKind::Failed]));
    assert_eq!(jobs().await[0].times.finished_at, Some(change.past_jobs[0].finished_at));
    let keys = bed.store.job_keys_of(&change.past_jobs[0].new.caller).await.unwrap();
    assert_eq!(keys.len(), 2);
    // Other ids, the same keys.
    let again = ConfigChange { past_jobs: everything().past_jobs, ..ConfigChange::default() };
    assert_eq!(bed.store.config_apply(&again).await.unwrap(), Swapped::Done);
    assert_eq!(jobs().await.len(), 2, "each is taken once");

    let gone = ConfigChange {
        servers: Edits { removed: change.servers.added, ..Edits::default() },
        llm_servers: Edits { removed: change.llm_servers.added, ..Edits::default() },
        render_types: Edits { removed: defaults, ..Edits::default() },
        styles: Edits { removed: change.styles.added, ..Edits::default() },
        ..ConfigChange::default()
    };
    assert_eq!(bed.store.config_apply(&gone).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.server_list().await.unwrap(), []);
    assert_eq!(bed.store.server_names().await.unwrap().len(), 1, "history still names it");
    assert_eq!(bed.store.server_overrides().await.unwrap(), BTreeMap::new());
    assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), None);
    assert_eq!(bed.store.style_list().await.unwrap(), []);
}

async fn a_change_that_fails_at_its_end_leaves_no_trace(bed: &Bed) {
    bed.store.style_save(&style("ink")).await.unwrap();
    // Styles are written last but for settings, and this name is taken.
    let error = bed.store.config_apply(&everything()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken { name } if name == "ink"), "{error}");
    assert_eq!(bed.store.server_list().await.unwrap(), []);
    assert_eq!(bed.store.llm_server_list().await.unwrap(), []);
    assert_eq!(bed.store.workflow_list().await.unwrap(), []);
    assert_eq!(bed.store.render_type_list().await.unwrap(), []);
    assert_eq!(bed.store.setting_get::<serde_json::Value>("words").await.unwrap(), None);
}

async fn a_change_of_what_is_not_as_it_was_read_writes_nothing(bed: &Bed) {
    let read = style("ink");
    bed.store.style_save(&Style { description: "changed meanwhile".to_owned(), ..read.clone() }).await.unwrap();
    let change = ConfigChange {
        servers: Edits { added: vec![server("gpu")], ..Edits::default() },
        styles: Edits { changed: vec![(read.clone(), read)], ..Edits::default() },
        ..ConfigChange::default()
    };
    assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Changed);
    assert_eq!(bed.store.server_list().await.unwrap(), []);

    bed.store.workflow_insert("sdxl", &json!({}), &json!([]), "").await.unwrap();
    let taken = ConfigChange { workflows: vec![workflow("sdxl", 1)], ..ConfigChange::default() };
    assert_eq!(bed.store.config_apply(&taken).await.unwrap(), Swapped::Changed);
}

async fn servers_may_swap_their_addresses(bed: &Bed) {
    let (a, b) = (server("a"), server("b"));
    let both = Edits { added: vec![a.clone(), b.clone()], ..Edits::default() };
    bed.store.config_apply(&ConfigChange { servers: both, ..ConfigChange::default() }).await.unwrap();
    let swapped = vec![
        (a.clone(), Server { base_url: b.base_url.clone(), ..a.clone() }),
        (b.clone(), Server { base_url: a.base_url.clone(), ..b.clone() }),
    ];
    let change =
        ConfigChange { servers: Edits { changed: swapped.clone(), ..Edits::default() }, ..ConfigChange::default() };
    assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Done);
    let stored = bed.store.server_list().await.unwrap();
    assert_eq!(stored, swapped.into_iter().map(|(_, after)| after).collect::<Vec<_>>());
}
