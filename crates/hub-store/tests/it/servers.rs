//! ComfyUI servers, LLM servers and their roles.

use std::{collections::BTreeMap, slice};

use hub_core::{
    ids::{LlmServerId, ServerId},
    server::{LlmAssignment, LlmDialect, LlmRole, LlmServer, NewServer, SecretSource, Server, ServerAuth},
};
use hub_store::{Ran, StoreError, StoreErrorKind, Swapped};

use crate::{
    bed::{Bed, on_both},
    samples::{attempt, insert, queued},
};

on_both!(
    a_server_is_added_changed_and_found,
    names_and_addresses_are_taken_once,
    a_deleted_server_stays_in_history_and_frees_its_name,
    an_llm_server_is_added_and_changed,
    deleting_an_llm_server_keeps_settings_and_detaches_roles,
    a_role_goes_to_a_server_that_exists,
    of_two_who_give_a_role_one_is_told,
    a_broken_auth_never_shows_its_secret,
    what_was_said_of_a_server_is_kept_until_it_goes,
    a_swap_expects_the_row_as_it_was_read,
);

fn server(name: &str, host: &str) -> NewServer {
    NewServer::named(name, format!("http://{host}:8188").parse().unwrap())
}

fn llm_server(name: &str) -> LlmServer {
    LlmServer {
        id: LlmServerId::new(),
        name: name.to_owned(),
        base_url: "http://llm:11434".parse().unwrap(),
        dialect: LlmDialect::Ollama,
        api_key: None,
        gpu: None,
        enabled: true,
    }
}

async fn a_server_is_added_changed_and_found(bed: &Bed) {
    let added = bed.store.server_insert(&server("gpu-b", "b")).await.unwrap();
    assert_eq!((added.enabled, added.max_in_flight, added.run_limit_s), (true, 2, 1800));
    assert_eq!(bed.store.server_get(added.id).await.unwrap().as_ref(), Some(&added));
    assert_eq!(bed.store.server_list().await.unwrap(), slice::from_ref(&added));

    let headers = vec![("X-Key".to_owned(), SecretSource::Env("K".to_owned()))];
    let mut changed = Server {
        name: "gpu-ü 🦊".to_owned(),
        auth: ServerAuth::Headers { headers },
        weight: 0.25,
        group: Some("cellar".to_owned()),
        gpu: Some("desk".to_owned()),
        origin: Some("http://b".to_owned()),
        ca: Some("file:/etc/ü.pem".parse().unwrap()),
        ..added.clone()
    };
    (changed.enabled, changed.draining, changed.max_in_flight) = (false, true, u32::MAX);
    assert!(bed.store.server_update(&changed).await.unwrap());
    let first = bed.store.server_insert(&server("gpu-a", "a")).await.unwrap();
    assert_eq!(bed.store.server_list().await.unwrap(), [first, changed.clone()]);

    changed.id = ServerId::new();
    assert!(!bed.store.server_update(&changed).await.unwrap());
}

async fn names_and_addresses_are_taken_once(bed: &Bed) {
    bed.store.server_insert(&server("one", "one")).await.unwrap();
    let error = bed.store.server_insert(&server("one", "two")).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken { name } if name == "one"), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    let error = bed.store.server_insert(&server("two", "one")).await.unwrap_err();
    assert!(matches!(&error, StoreError::UrlTaken { url } if url == "http://one:8188"), "{error}");
    let two = bed.store.server_insert(&server("two", "two")).await.unwrap();
    let error = bed.store.server_update(&Server { name: "one".to_owned(), ..two }).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { .. }), "{error}");
}

async fn a_deleted_server_stays_in_history_and_frees_its_name(bed: &Bed) {
    let old = bed.store.server_insert(&server("gpu", "gpu")).await.unwrap();
    let id = insert(&bed.store, &queued("x")).await.id;
    let mut at = attempt(1);
    at.server = old.id;
    assert!(bed.store.job_assign(id, &at).await.unwrap());
    bed.store.job_succeed(id, 1, id, Ran::default(), &[]).await.unwrap().unwrap();

    assert!(bed.store.server_delete(old.id).await.unwrap());
    assert!(!bed.store.server_delete(old.id).await.unwrap());
    assert_eq!(bed.store.server_get(old.id).await.unwrap(), None);
    assert!(bed.store.server_list().await.unwrap().is_empty());
    assert!(!bed.store.server_update(&old).await.unwrap());

    assert_eq!(bed.store.job_get(id).await.unwrap().unwrap().server, Some(old.id));
    let new = bed.store.server_insert(&server("gpu", "gpu")).await.unwrap();
    let names = BTreeMap::from([(old.id, "gpu".to_owned()), (new.id, "gpu".to_owned())]);
    assert_eq!(bed.store.server_names().await.unwrap(), names);
}

async fn an_llm_server_is_added_and_changed(bed: &Bed) {
    let key = SecretSource::File("/run/key".to_owned());
    let mut added = LlmServer {
        dialect: LlmDialect::OpenAi,
        api_key: Some(key),
        gpu: Some("desk".to_owned()),
        ..llm_server("ollama")
    };
    bed.store.llm_server_insert(&added).await.unwrap();
    assert_eq!(bed.store.llm_server_list().await.unwrap(), [added.clone()]);
    let error = bed.store.llm_server_insert(&llm_server("ollama")).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { .. }), "{error}");
    (added.name, added.dialect, added.api_key, added.enabled) = ("new".to_owned(), LlmDialect::Ollama, None, false);
    added.gpu = None;
    assert!(bed.store.llm_server_update(&added).await.unwrap());
    assert_eq!(bed.store.llm_server_list().await.unwrap(), [added.clone()]);
    added.id = LlmServerId::new();
    assert!(!bed.store.llm_server_update(&added).await.unwrap());
}

/// Gives a role, whoever plays it now.
async fn assign(bed: &Bed, role: LlmRole, to: Option<&LlmAssignment>) -> Result<(), StoreError> {
    let before = bed.store.llm_assignment(role).await?;
    assert!(bed.store.llm_assignment_swap(role, before.as_ref(), to).await?, "nobody else is here");
    Ok(())
}

async fn deleting_an_llm_server_keeps_settings_and_detaches_roles(bed: &Bed) {
    let (one, two) = (llm_server("one"), llm_server("two"));
    for server in [&one, &two] {
        bed.store.llm_server_insert(server).await.unwrap();
    }
    let (one, two) = (one.id, two.id);
    bed.store.setting_set("enhance.template", "Rewrite {{ prompt }}").await.unwrap();
    let to = |server| LlmAssignment { server, model: Some("llava:7b".to_owned()) };
    assign(bed, LlmRole::Enhance, Some(&to(one))).await.unwrap();
    assign(bed, LlmRole::Describe, Some(&to(two))).await.unwrap();

    assert!(bed.store.llm_server_delete(one).await.unwrap());
    assert!(!bed.store.llm_server_delete(one).await.unwrap());
    assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), None);
    assert_eq!(bed.store.llm_assignment(LlmRole::Describe).await.unwrap(), Some(to(two)));
    let template: Option<String> = bed.store.setting_get("enhance.template").await.unwrap();
    assert_eq!(template.as_deref(), Some("Rewrite {{ prompt }}"));
}

async fn a_role_goes_to_a_server_that_exists(bed: &Bed) {
    let server = llm_server("one");
    bed.store.llm_server_insert(&server).await.unwrap();
    let server = server.id;
    for model in [None, Some("qwen3".to_owned())] {
        let to = LlmAssignment { server, model };
        assign(bed, LlmRole::Enhance, Some(&to)).await.unwrap();
        assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), Some(to));
    }
    let nobody = LlmAssignment { server: LlmServerId::new(), model: None };
    let error = assign(bed, LlmRole::Enhance, Some(&nobody)).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    assign(bed, LlmRole::Enhance, None).await.unwrap();
    assign(bed, LlmRole::Enhance, None).await.unwrap();
    assert_eq!(bed.store.llm_assignment(LlmRole::Enhance).await.unwrap(), None);
}

async fn of_two_who_give_a_role_one_is_told(bed: &Bed) {
    let server = llm_server("one");
    bed.store.llm_server_insert(&server).await.unwrap();
    let to = |model: &str| LlmAssignment { server: server.id, model: Some(model.to_owned()) };
    let role = LlmRole::Describe;
    let mut before = None;
    for round in 0..5 {
        let after: Vec<_> = (0..4).map(|turn| to(&format!("{round}-{turn}"))).collect();
        let swaps = after.iter().map(|to| bed.store.llm_assignment_swap(role, before.as_ref(), Some(to)));
        let swapped = futures_util::future::join_all(swaps).await;
        let won: Vec<_> = after.iter().zip(swapped).filter_map(|(to, done)| done.unwrap().then_some(to)).collect();
        assert_eq!(won.len(), 1, "{won:?}");
        before = bed.store.llm_assignment(role).await.unwrap();
        assert_eq!(before.as_ref(), Some(won[0]));
    }
    assert!(!bed.store.llm_assignment_swap(role, None, None).await.unwrap());
    assert!(bed.store.llm_assignment_swap(role, before.as_ref(), None).await.unwrap());
    let nobody = LlmAssignment { server: LlmServerId::new(), model: None };
    let error = bed.store.llm_assignment_swap(role, None, Some(&nobody)).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    assert_eq!(bed.store.llm_assignment(role).await.unwrap(), None);
}

async fn a_broken_auth_never_shows_its_secret(bed: &Bed) {
    let added = bed.store.server_insert(&server("gpu", "gpu")).await.unwrap();
    bed.sabotage(r#"UPDATE servers SET auth = '{"kind":"bearer","token":["hunter2"]}'"#).await;
    let error = bed.store.server_get(added.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistency { table: "servers", column: "auth", .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

async fn what_was_said_of_a_server_is_kept_until_it_goes(bed: &Bed) {
    let (a, b) = (
        bed.store.server_insert(&server("a", "a")).await.unwrap().id,
        bed.store.server_insert(&server("b", "b")).await.unwrap().id,
    );
    bed.store.server_override_set(a, "flux 🦊", Some(true)).await.unwrap();
    bed.store.server_override_set(a, "flux 🦊", Some(false)).await.unwrap();
    bed.store.server_override_set(a, "sdxl", Some(true)).await.unwrap();
    bed.store.server_override_set(b, "sdxl", Some(false)).await.unwrap();
    bed.store.server_override_set(a, "sdxl", None).await.unwrap();
    bed.store.server_override_set(a, "never said", None).await.unwrap();
    let said = bed.store.server_overrides().await.unwrap();
    assert_eq!(said[&a].clone().into_iter().collect::<Vec<_>>(), [("flux 🦊".to_owned(), false)]);
    assert_eq!(said[&b].clone().into_iter().collect::<Vec<_>>(), [("sdxl".to_owned(), false)]);
    bed.store.server_delete(a).await.unwrap();
    assert_eq!(bed.store.server_overrides().await.unwrap().into_keys().collect::<Vec<_>>(), [b]);
    let stranger = bed.store.server_override_set(ServerId::new(), "sdxl", Some(true)).await.unwrap_err();
    assert!(matches!(stranger, StoreError::Gone { .. }), "{stranger}");
}

async fn a_swap_expects_the_row_as_it_was_read(bed: &Bed) {
    let read = bed.store.server_insert(&server("gpu", "one")).await.unwrap();
    let read = bed.store.server_get(read.id).await.unwrap().unwrap();
    let mine = Server { weight: 2.0, ..read.clone() };
    let theirs = Server { weight: 3.0, ..read.clone() };
    assert_eq!(bed.store.server_swap(&read, &mine).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.server_swap(&read, &theirs).await.unwrap(), Swapped::Changed);
    assert_eq!(bed.store.server_get(read.id).await.unwrap().unwrap(), mine);
    let both = tokio::join!(bed.store.server_swap(&mine, &theirs), bed.store.server_swap(&mine, &read));
    let done = [both.0.unwrap(), both.1.unwrap()].iter().filter(|swapped| **swapped == Swapped::Done).count();
    assert_eq!(done, 1, "of two at once one wins");
    bed.store.server_delete(read.id).await.unwrap();
    assert_eq!(bed.store.server_swap(&mine, &read).await.unwrap(), Swapped::Gone);
}
