//! Exports and imports while others change the configuration.

use std::{pin::pin, sync::Arc};

use hub_core::{
    catalogue::{Mode, Style},
    clock::SystemClock,
    ids::LlmServerId,
    server::{LlmDialect, LlmServer, NewServer},
};
use serde_json::json;

use super::*;
use crate::PromptGeneratorSettings;

/// Rounds of a race. The one connection of a database in memory goes from one side to the other, so that each round
/// finds the other side at another place.
const ROUNDS: usize = 40;

async fn store() -> Store {
    Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database in memory")
}

fn llm_server(name: &str) -> LlmServer {
    LlmServer {
        id: LlmServerId::new(),
        name: name.to_owned(),
        base_url: format!("http://{name}:11434").parse().expect("an address"),
        dialect: LlmDialect::Ollama,
        api_key: None,
        gpu: None,
        enabled: true,
    }
}

fn file(mut sections: Value) -> Document {
    sections["format"] = json!(FORMAT);
    sections["version"] = json!(VERSION);
    serde_json::from_value(sections).expect("a configuration")
}

async fn planned(store: &Store, file: &Document, mode: ImportMode) -> plan::Plan {
    plan::plan(store, file, &Secrets::default(), mode).await.expect("planned")
}

async fn imported(store: &Store, file: &Document, mode: ImportMode) -> ImportReport {
    let options = ImportOptions { mode, ..ImportOptions::default() };
    apply(store, file, &Secrets::default(), Vec::new(), &options, |_| Ok(())).await.expect("imported")
}

/// Adds things, and then what names them; never ends.
async fn growing(store: &Store) {
    let role = LlmRole::PromptGenerator;
    loop {
        let name = uuid::Uuid::new_v4().to_string();
        let server = llm_server(&name);
        store.llm_server_insert(&server).await.expect("stored");
        let before = store.llm_assignment(role).await.expect("read");
        let to = LlmAssignment { server: server.id, model: None };
        assert!(store.llm_assignment_swap(role, before.as_ref(), Some(&to)).await.expect("given"));
        store.workflow_insert(&name, &json!({}), &json!([]), "").await.expect("stored");
        let render_type = RenderType { workflow_version: Some(1), ..RenderType::new(&name, &name, Mode::Generate) };
        store.render_type_save(&render_type).await.expect("stored");
        let style = Style { render_types: vec![name.clone()], ..Style::new(&name, "ink") };
        store.style_save(&style).await.expect("stored");
        let settings =
            PromptGeneratorSettings { allowed_styles: Some(vec![name]), ..PromptGeneratorSettings::default() };
        store.setting_set(prompt_generator::SETTING, &settings).await.expect("stored");
    }
}

/// What a file names and does not hold.
fn missing(file: &Document) -> Vec<String> {
    let llm_servers: BTreeSet<&str> = file.llm_servers.iter().flatten().map(|entry| entry.name.as_str()).collect();
    let workflows: BTreeSet<(&str, u32)> =
        file.workflows.iter().flatten().map(|entry| (entry.name.as_str(), entry.version)).collect();
    let render_types: BTreeSet<&str> = file.render_types.iter().flatten().map(|entry| entry.name.as_str()).collect();
    let styles: BTreeSet<&str> = file.styles.iter().flatten().map(|entry| entry.name.as_str()).collect();

    let mut missing = Vec::new();
    for entry in file.llm_roles.iter().flat_map(BTreeMap::values) {
        if !llm_servers.contains(entry.server.as_str()) {
            missing.push(format!("the LLM server {}", entry.server));
        }
    }
    for entry in file.render_types.iter().flatten() {
        let version = entry.workflow_version.expect("each is pinned");
        if !workflows.contains(&(entry.workflow.as_str(), version)) {
            missing.push(format!("the workflow {}", entry.workflow));
        }
    }
    for name in file.styles.iter().flatten().flat_map(|entry| &entry.render_types) {
        if !render_types.contains(name.as_str()) {
            missing.push(format!("the render type {name}"));
        }
    }
    let generator = file.settings.as_ref().and_then(|settings| settings.prompt_generator.as_ref());
    for name in generator.and_then(|settings| settings.allowed_styles.as_ref()).into_iter().flatten() {
        if !styles.contains(name.as_str()) {
            missing.push(format!("the style {name}"));
        }
    }
    missing
}

#[tokio::test]
async fn an_export_holds_all_that_it_names_while_others_add_things() {
    let store = store().await;
    let mut others = pin!(growing(&store));
    let mut exported = Document::default();
    for round in 0..ROUNDS {
        let text = tokio::select! {
            text = export(&store, ExportOptions::default()) => text.expect("exported"),
            () = &mut others => unreachable!("the others go on"),
        };
        exported = document::read(text.as_bytes()).expect("a file of ours");
        assert_eq!(missing(&exported), Vec::<String>::new(), "round {round}");
    }
    let (render_types, roles) = (exported.render_types.expect("there"), exported.llm_roles.expect("there"));
    assert!(render_types.len() > 1 && roles.len() == 1, "the others got on: {roles:?} {render_types:?}");
}

#[tokio::test]
async fn a_role_that_is_given_while_a_plan_is_made_is_no_part_of_it() {
    let (store, nothing) = (store().await, file(json!({})));
    let mut others = pin!(growing(&store));
    for round in 0..ROUNDS {
        let plan = tokio::select! {
            plan = planned(&store, &nothing, ImportMode::Replace) => plan,
            () = &mut others => unreachable!("the others go on"),
        };
        assert_eq!(plan.changes, [], "round {round}");
    }
}

#[tokio::test]
async fn a_role_that_was_given_after_the_plan_is_kept() {
    let store = store().await;
    let (role, [a, b]) = (LlmRole::Enhance, ["a", "b"].map(llm_server));
    for server in [&a, &b] {
        store.llm_server_insert(server).await.expect("stored");
    }
    let to = |server: &LlmServer| Some(LlmAssignment { server: server.id, model: None });
    assert!(store.llm_assignment_swap(role, None, to(&a).as_ref()).await.expect("given"));
    let without_a = file(json!({"llm_servers": [{"name": "b", "base_url": "http://b:11434", "dialect": "ollama"}]}));
    let stale = planned(&store, &without_a, ImportMode::Replace).await;
    assert_eq!(stale.change.llm_roles, BTreeMap::from([(role, (to(&a), None))]), "it would go with its server");

    assert!(store.llm_assignment_swap(role, to(&a).as_ref(), to(&b).as_ref()).await.expect("given"));
    assert_eq!(store.config_apply(&stale.change).await.expect("answered"), Swapped::Changed);
    let report = imported(&store, &without_a, ImportMode::Replace).await;
    assert!(report.changes.iter().all(|change| change.section != "llm_roles"), "{report:?}");
    assert_eq!(store.llm_assignment(role).await.expect("read"), to(&b));
    assert_eq!(store.llm_server_list().await.expect("read"), [b]);
}

#[tokio::test]
async fn settings_that_were_changed_after_the_plan_are_kept() {
    let store = store().await;
    let document = file(json!({"settings": {"values": {"queue.max": 78}}}));
    for (meanwhile, after) in [
        (json!({"retention.days": 9}), json!({"retention.days": 9, "queue.max": 78})),
        (json!({"retention.days": 7, "queue.max": 5}), json!({"retention.days": 7, "queue.max": 78})),
    ] {
        store.setting_set(settings::STORED, &json!({"retention.days": 8})).await.expect("stored");
        let stale = planned(&store, &document, ImportMode::Merge).await;
        store.setting_set(settings::STORED, &meanwhile).await.expect("stored");
        assert_eq!(store.config_apply(&stale.change).await.expect("answered"), Swapped::Changed);
        imported(&store, &document, ImportMode::Merge).await;
        assert_eq!(store.setting_get(settings::STORED).await.expect("read"), Some(after));
    }
    let again = planned(&store, &document, ImportMode::Merge).await;
    assert_eq!(again.change, ConfigChange::default(), "nothing is left to do");
}

#[tokio::test]
async fn what_was_said_of_a_server_after_the_plan_is_read_anew() {
    let store = store().await;
    let gpu = NewServer::named("gpu", "http://gpu:8188".parse().expect("an address"));
    let gpu = store.server_insert(&gpu).await.expect("stored");
    let document =
        file(json!({"servers": [{"name": "gpu", "base_url": "http://gpu:8188", "workflows": {"flux": false}}]}));
    let stale = planned(&store, &document, ImportMode::Merge).await;
    store.server_override_set(gpu.id, "flux", Some(false)).await.expect("said");
    assert_eq!(store.config_apply(&stale.change).await.expect("answered"), Swapped::Changed);
    assert_eq!(imported(&store, &document, ImportMode::Merge).await.changes, [], "it is as the file says");
}
