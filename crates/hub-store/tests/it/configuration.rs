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
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    bed::{Bed, on_both},
    samples::{failure, queued, render_type, style},
};

/// Rounds of a race; luck decides each, so there are several.
const ROUNDS: usize = 12;

on_both!(
    a_change_is_stored_whole,
    a_change_that_fails_at_its_end_leaves_no_trace,
    a_change_of_what_is_not_as_it_was_read_writes_nothing,
    a_role_that_was_given_meanwhile_is_kept,
    a_setting_that_was_set_meanwhile_is_kept,
    what_was_said_of_a_server_meanwhile_is_kept,
    of_two_who_set_what_was_not_set_one_is_told,
    servers_may_swap_their_addresses,
);

fn server(name: &str) -> Server {
    NewServer::named(name, format!("http://{name}:8188").parse().unwrap())
        .into_server(ServerId::new(), DateTime::from_timestamp_millis(1_795_000_000_000).unwrap())
}

fn llm_server(name: &str) -> LlmServer {
    LlmServer {
        id: LlmServerId::new(),
        name: name.to_owned(),
        base_url: format!("http://{name}:11434").parse().unwrap(),
        dialect: LlmDialect::Ollama,
        api_key: None,
        gpu: Some("desk".to_owned()),
        enabled: true,
    }
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

/// What is said by hand of a server.
fn said(of_flux: bool) -> BTreeMap<String, bool> {
    BTreeMap::from([("flux".to_owned(), of_flux)])
}

/// A change of everything, where nothing is stored but the setting `unset`, which is 1.
fn everything() -> ConfigChange {
    let server = server("gpu");
    let llm = llm_server("ollama");
    let plays = LlmAssignment { server: llm.id, model: Some("m".to_owned()) };
    ConfigChange {
        server_overrides: BTreeMap::from([(server.id, (BTreeMap::new(), said(false)))]),
        servers: Edits { added: vec![server], ..Edits::default() },
        llm_roles: BTreeMap::from([(LlmRole::Enhance, (None, Some(plays)))]),
        llm_servers: Edits { added: vec![llm], ..Edits::default() },
        workflows: vec![workflow("sdxl", 3), workflow("sdxl", 7)],
        render_types: Edits { added: vec![render_type("one", true)], ..Edits::default() },
        styles: Edits { added: vec![style("ink")], ..Edits::default() },
        settings: BTreeMap::from([
            ("words".to_owned(), (None, Some(json!({"a": 1})))),
            ("unset".to_owned(), (Some(json!(1)), None)),
        ]),
        past_jobs: vec![past("older-1", None), past("older-2", Some(failure()))],
    }
}

async fn a_change_is_stored_whole(bed: &Bed) {
    bed.store.setting_set("unset", &1).await.unwrap();
    bed.store.render_type_save(&render_type("old", true)).await.unwrap();
    let change = everything();
    assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.server_list().await.unwrap(), change.servers.added);
    let overrides = BTreeMap::from([(change.servers.added[0].id, said(false))]);
    assert_eq!(bed.store.server_overrides().await.unwrap(), overrides);
    assert_eq!(bed.store.llm_server_list().await.unwrap(), change.llm_servers.added);
    let plays = change.llm_roles[&LlmRole::Enhance].1.clone();
    assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), plays);
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
        llm_roles: BTreeMap::from([(LlmRole::Enhance, (plays, None))]),
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
    bed.store.setting_set("unset", &1).await.unwrap();
    bed.store.style_save(&style("ink")).await.unwrap();
    // Styles are written last but for settings, and this name is taken.
    let error = bed.store.config_apply(&everything()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken { name } if name == "ink"), "{error}");
    assert_eq!(bed.store.server_list().await.unwrap(), []);
    assert_eq!(bed.store.llm_server_list().await.unwrap(), []);
    assert_eq!(bed.store.workflow_list().await.unwrap(), []);
    assert_eq!(bed.store.render_type_list().await.unwrap(), []);
    assert_eq!(bed.store.setting_get::<Value>("words").await.unwrap(), None);
    assert_eq!(bed.store.setting_get("unset").await.unwrap(), Some(1));
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

async fn a_role_that_was_given_meanwhile_is_kept(bed: &Bed) {
    let (role, [a, b]) = (LlmRole::Enhance, ["a", "b"].map(llm_server));
    for server in [&a, &b] {
        bed.store.llm_server_insert(server).await.unwrap();
    }
    let to = |server: &LlmServer| Some(LlmAssignment { server: server.id, model: None });
    let without_a = |llm_roles: BTreeMap<_, _>| ConfigChange {
        llm_roles,
        llm_servers: Edits { removed: vec![a.clone()], ..Edits::default() },
        ..ConfigChange::default()
    };
    let refused = async |change: ConfigChange, plays: Option<LlmAssignment>| {
        assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Changed);
        assert_eq!(bed.store.llm_assignment(role).await.unwrap(), plays);
        assert_eq!(bed.store.llm_server_list().await.unwrap(), [a.clone(), b.clone()]);
    };
    // It was read as nobody's, and would go with its server or to another.
    assert!(bed.store.llm_assignment_swap(role, None, to(&a).as_ref()).await.unwrap());
    refused(without_a(BTreeMap::new()), to(&a)).await;
    refused(without_a(BTreeMap::from([(role, (None, to(&b)))])), to(&a)).await;
    // It was read as that of the server that goes.
    let planned = without_a(BTreeMap::from([(role, (to(&a), None))]));
    assert!(bed.store.llm_assignment_swap(role, to(&a).as_ref(), to(&b).as_ref()).await.unwrap());
    refused(planned.clone(), to(&b)).await;
    assert!(bed.store.llm_assignment_swap(role, to(&b).as_ref(), None).await.unwrap());
    refused(planned.clone(), None).await;

    assert!(bed.store.llm_assignment_swap(role, None, to(&a).as_ref()).await.unwrap());
    assert_eq!(bed.store.config_apply(&planned).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.llm_server_list().await.unwrap(), [b]);
    let to_a = ConfigChange { llm_roles: BTreeMap::from([(role, (None, to(&a)))]), ..ConfigChange::default() };
    let error = bed.store.config_apply(&to_a).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
}

async fn a_setting_that_was_set_meanwhile_is_kept(bed: &Bed) {
    let change = |before: Option<Value>, after: Option<Value>| ConfigChange {
        settings: BTreeMap::from([("words".to_owned(), (before, after))]),
        styles: Edits { added: vec![style("ink")], ..Edits::default() },
        ..ConfigChange::default()
    };
    let refused = async |change: ConfigChange, is: Option<Value>| {
        assert_eq!(bed.store.config_apply(&change).await.unwrap(), Swapped::Changed);
        assert_eq!(bed.store.setting_get("words").await.unwrap(), is);
        assert_eq!(bed.store.style_list().await.unwrap(), []);
    };
    refused(change(Some(json!(1)), Some(json!(3))), None).await;
    bed.store.setting_set("words", &2).await.unwrap();
    for before in [None, Some(json!(1)), Some(json!("2"))] {
        for after in [None, Some(json!(3))] {
            refused(change(before.clone(), after), Some(json!(2))).await;
        }
    }
    let known = change(Some(json!(2)), Some(json!(3)));
    assert_eq!(bed.store.config_apply(&known).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.setting_get("words").await.unwrap(), Some(3));
    // Written in another order it is the same value.
    bed.store.setting_set("words", &json!({"a": 1, "b": 2.5})).await.unwrap();
    let unset = ConfigChange { styles: Edits::default(), ..change(Some(json!({"b": 2.5, "a": 1})), None) };
    assert_eq!(bed.store.config_apply(&unset).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.setting_get::<Value>("words").await.unwrap(), None);
}

async fn what_was_said_of_a_server_meanwhile_is_kept(bed: &Bed) {
    let gpu = bed.store.server_insert(&NewServer::named("gpu", "http://gpu:8188".parse().unwrap())).await.unwrap();
    let change = |before, after| ConfigChange {
        server_overrides: BTreeMap::from([(gpu.id, (before, after))]),
        ..ConfigChange::default()
    };
    let nothing = BTreeMap::new();
    let planned = change(nothing.clone(), said(false));
    bed.store.server_override_set(gpu.id, "flux", Some(true)).await.unwrap();
    for stale in [planned, change(said(false), nothing.clone())] {
        assert_eq!(bed.store.config_apply(&stale).await.unwrap(), Swapped::Changed);
        assert_eq!(bed.store.server_overrides().await.unwrap(), BTreeMap::from([(gpu.id, said(true))]));
    }
    assert_eq!(bed.store.config_apply(&change(said(true), said(false))).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.server_overrides().await.unwrap(), BTreeMap::from([(gpu.id, said(false))]));

    let planned = change(said(false), nothing);
    assert!(bed.store.server_delete(gpu.id).await.unwrap());
    assert_eq!(bed.store.config_apply(&planned).await.unwrap(), Swapped::Changed);
}

/// Nobody can lock a row that is not there.
async fn of_two_who_set_what_was_not_set_one_is_told(bed: &Bed) {
    let (role, llm) = (LlmRole::Enhance, llm_server("ollama"));
    bed.store.llm_server_insert(&llm).await.unwrap();
    let to = |n: usize| LlmAssignment { server: llm.id, model: Some(n.to_string()) };
    for round in 0..ROUNDS {
        let key = format!("words-{round}");
        for changes in [
            [0, 1].map(|n| ConfigChange {
                settings: BTreeMap::from([(key.clone(), (None, Some(json!(n))))]),
                ..ConfigChange::default()
            }),
            [0, 1].map(|n| ConfigChange {
                llm_roles: BTreeMap::from([(role, (None, Some(to(n))))]),
                ..ConfigChange::default()
            }),
        ] {
            let mut tasks = JoinSet::new();
            for change in changes {
                let store = bed.store.clone();
                tasks.spawn(async move {
                    let done = store.config_apply(&change).await.unwrap();
                    (done, change)
                });
            }
            let (won, lost): (Vec<_>, Vec<_>) =
                tasks.join_all().await.into_iter().partition(|(done, _)| *done == Swapped::Done);
            assert_eq!((won.len(), lost[0].0), (1, Swapped::Changed), "round {round}");
            for (key, (_, set)) in &won[0].1.settings {
                assert_eq!(bed.store.setting_get(key).await.unwrap(), *set);
            }
            for (role, (_, given)) in &won[0].1.llm_roles {
                assert_eq!(bed.store.llm_assignment(*role).await.unwrap(), *given);
            }
        }
        let plays = bed.store.llm_assignment(role).await.unwrap();
        assert!(bed.store.llm_assignment_swap(role, plays.as_ref(), None).await.unwrap());
    }
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
