//! Workflows, render types, styles, settings.

use hub_core::{
    catalogue::{Mode, RenderType, Style},
    ids::{RenderTypeId, StyleId, WorkflowId},
};
use hub_store::{StoreError, StoreErrorKind, Swapped, WorkflowDeletion};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    bed::{Bed, on_both},
    samples::{insert, queued, render_type, style},
};

on_both!(
    workflows_are_versioned_by_name,
    concurrent_versions_get_numbers_of_their_own,
    a_render_type_is_added_changed_and_deleted,
    a_mode_has_one_default_whoever_sets_it,
    concurrent_defaults_leave_one,
    names_of_render_types_and_styles_are_taken_once,
    a_style_keeps_its_templates_to_the_letter,
    settings_hold_any_value,
    swaps_of_the_catalogue_expect_the_row_as_it_was_read,
    of_two_who_change_a_setting_one_is_told,
    a_workflow_is_deleted_when_nothing_runs_it,
);

async fn workflows_are_versioned_by_name(bed: &Bed) {
    // Keys in an order of their own: a graph is stored as it was given.
    let graph = json!({ "9": { "z": 1, "a": "{{ x }} 🦊" }, "10": { "seed": u64::MAX }, "1": [0.1, null] });
    let first = bed.store.workflow_insert("sdxl", &graph, &json!([]), "one").await.unwrap();
    let second = bed.store.workflow_insert("sdxl", &json!({}), &json!({ "seed": "3.seed" }), "two").await.unwrap();
    let other = bed.store.workflow_insert("flux", &json!({}), &json!([]), "").await.unwrap();
    assert_eq!((first.version, second.version, other.version), (1, 2, 1));

    let read = bed.store.workflow_get(first.id).await.unwrap().unwrap();
    assert_eq!(read, first);
    assert_eq!(read.graph.to_string(), graph.to_string());
    assert_eq!(bed.store.workflow_latest("sdxl").await.unwrap().as_ref(), Some(&second));
    assert_eq!(bed.store.workflow_version("sdxl", 1).await.unwrap(), Some(first));
    assert_eq!(bed.store.workflow_list().await.unwrap(), [other, second]);
    assert_eq!(bed.store.workflow_version("sdxl", 3).await.unwrap(), None);
    assert_eq!(bed.store.workflow_latest("none").await.unwrap(), None);
    assert_eq!(bed.store.workflow_get(WorkflowId::new()).await.unwrap(), None);
}

async fn concurrent_versions_get_numbers_of_their_own(bed: &Bed) {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let store = bed.store.clone();
        tasks.spawn(async move { store.workflow_insert("w", &json!({}), &json!([]), "").await.unwrap().version });
    }
    let mut versions = tasks.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
}

async fn a_render_type_is_added_changed_and_deleted(bed: &Bed) {
    let mut draft = render_type("draft", false);
    bed.store.render_type_save(&draft).await.unwrap();
    assert_eq!(bed.store.render_type_list().await.unwrap(), [draft.clone()]);
    (draft.name, draft.workflow_version) = ("änders".to_owned(), None);
    draft.prompt_examples.push("{{ x }}".to_owned());
    bed.store.render_type_save(&draft).await.unwrap();
    let best = render_type("best", false);
    bed.store.render_type_save(&best).await.unwrap();
    assert_eq!(bed.store.render_type_list().await.unwrap(), [best.clone(), draft]);
    assert!(bed.store.render_type_delete(best.id).await.unwrap());
    assert!(!bed.store.render_type_delete(best.id).await.unwrap());
    assert!(!bed.store.render_type_delete(RenderTypeId::new()).await.unwrap());
}

async fn defaults(bed: &Bed) -> Vec<String> {
    let all = bed.store.render_type_list().await.unwrap();
    all.into_iter().filter(|one| one.is_default).map(|one| one.name).collect()
}

async fn a_mode_has_one_default_whoever_sets_it(bed: &Bed) {
    let mut one = render_type("one", true);
    let two = render_type("two", true);
    let upscale = RenderType { mode: Mode::Upscale, ..render_type("upscale", true) };
    for saved in [&one, &upscale, &two] {
        bed.store.render_type_save(saved).await.unwrap();
    }
    assert_eq!(defaults(bed).await, ["two", "upscale"], "another mode has its own");
    bed.store.render_type_save(&one).await.unwrap();
    assert_eq!(defaults(bed).await, ["one", "upscale"]);
    bed.store.render_type_save(&one).await.unwrap();
    assert_eq!(defaults(bed).await, ["one", "upscale"]);
    one.is_default = false;
    bed.store.render_type_save(&one).await.unwrap();
    assert_eq!(defaults(bed).await, ["upscale"], "none is a choice, too");
}

async fn concurrent_defaults_leave_one(bed: &Bed) {
    let mut tasks = JoinSet::new();
    for n in 0..3 {
        let store = bed.store.clone();
        tasks.spawn(async move { store.render_type_save(&render_type(&n.to_string(), true)).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(defaults(bed).await.len(), 1);
}

async fn names_of_render_types_and_styles_are_taken_once(bed: &Bed) {
    bed.store.render_type_save(&render_type("one", true)).await.unwrap();
    let error = bed.store.render_type_save(&render_type("one", true)).await.unwrap_err();
    assert!(matches!(&error, StoreError::NameTaken { name } if name == "one"), "{error}");
    assert_eq!(defaults(bed).await, ["one"], "a refused one takes nothing");
    bed.store.style_save(&style("one")).await.unwrap();
    let error = bed.store.style_save(&style("one")).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { .. }), "{error}");
}

async fn a_style_keeps_its_templates_to_the_letter(bed: &Bed) {
    let template = "{{ prompt }} {prompt} 'x' \"y\" \\ 🎨 ".to_owned();
    let mut oil = Style { prompt_template: template, ..style("oil") };
    bed.store.style_save(&oil).await.unwrap();
    let category = "a first".to_owned();
    let photo = Style { category, preferred_render_type: None, is_default: true, ..style("photo") };
    bed.store.style_save(&photo).await.unwrap();
    assert_eq!(bed.store.style_list().await.unwrap(), [photo, oil.clone()]);
    oil.enabled = false;
    oil.render_types.clear();
    bed.store.style_save(&oil).await.unwrap();
    assert_eq!(bed.store.style_list().await.unwrap()[1], oil);
    assert!(bed.store.style_delete(oil.id).await.unwrap());
    assert!(!bed.store.style_delete(StyleId::new()).await.unwrap());
}

async fn settings_hold_any_value(bed: &Bed) {
    assert_eq!(bed.store.setting_get::<String>("none").await.unwrap(), None);
    bed.store.setting_set("seed", &u64::MAX).await.unwrap();
    assert_eq!(bed.store.setting_get("seed").await.unwrap(), Some(u64::MAX));
    bed.store.setting_set("seed", &Some("0")).await.unwrap();
    assert_eq!(bed.store.setting_get("seed").await.unwrap(), Some("0".to_owned()));

    let error = bed.store.setting_get::<u32>("seed").await.unwrap_err();
    assert!(matches!(&error, StoreError::Inconsistency { table: "settings", row, .. } if row == "seed"), "{error}");
    // Whoever resets it overwrites nothing that can be read.
    assert!(!bed.store.setting_mend("seed", &"1".to_owned()).await.unwrap());
    assert!(bed.store.setting_mend("seed", &1_u32).await.unwrap());
    assert_eq!(bed.store.setting_get("seed").await.unwrap(), Some(1_u32));
    assert!(!bed.store.setting_mend("none", &1_u32).await.unwrap());
    let nameless = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = bed.store.setting_set("map", &nameless).await.unwrap_err();
    assert!(matches!(error, StoreError::Unstorable { .. }), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Other);
}

async fn swaps_of_the_catalogue_expect_the_row_as_it_was_read(bed: &Bed) {
    let read = style("ink");
    bed.store.style_save(&read).await.unwrap();
    let mine = Style { description: "mine".to_owned(), ..read.clone() };
    assert_eq!(bed.store.style_swap(&read, &mine).await.unwrap(), Swapped::Done);
    assert_eq!(bed.store.style_swap(&read, &read).await.unwrap(), Swapped::Changed);
    assert_eq!(bed.store.style_list().await.unwrap(), std::slice::from_ref(&mine));
    bed.store.style_save(&style("other")).await.unwrap();
    let taken = bed.store.style_swap(&mine, &Style { name: "other".to_owned(), ..mine.clone() }).await;
    assert!(matches!(taken, Err(StoreError::NameTaken { name }) if name == "other"));
    bed.store.style_delete(read.id).await.unwrap();
    assert_eq!(bed.store.style_swap(&mine, &read).await.unwrap(), Swapped::Gone);

    let (first, second) = (render_type("first", false), render_type("second", false));
    for row in [&first, &second] {
        bed.store.render_type_save(&RenderType { is_default: true, ..row.clone() }).await.unwrap();
    }
    let first = bed.store.render_type_list().await.unwrap().into_iter().find(|row| row.id == first.id).unwrap();
    assert!(!first.is_default, "the second took it");
    let default = RenderType { is_default: true, ..first.clone() };
    assert_eq!(bed.store.render_type_swap(&first, &default).await.unwrap(), Swapped::Done);
    let defaults = bed.store.render_type_list().await.unwrap().into_iter().filter(|row| row.is_default).count();
    assert_eq!(defaults, 1);
}

async fn of_two_who_change_a_setting_one_is_told(bed: &Bed) {
    let mut before: Option<String> = None;
    for round in 0..5 {
        let after: Vec<_> = (0..4).map(|turn| format!("{round}-{turn}")).collect();
        let swaps = after.iter().map(|value| bed.store.setting_swap("words", before.as_ref(), value));
        let swapped = futures_util::future::join_all(swaps).await;
        let won: Vec<_> =
            after.iter().zip(swapped).filter_map(|(value, done)| done.unwrap().then_some(value)).collect();
        assert_eq!(won.len(), 1, "{won:?}");
        before = bed.store.setting_get("words").await.unwrap();
        assert_eq!(before.as_ref(), Some(won[0]));
    }
    let never_set = bed.store.setting_swap("other", Some(&1), &2).await.unwrap();
    assert!(!never_set && bed.store.setting_get::<u32>("other").await.unwrap().is_none());
}

async fn a_workflow_is_deleted_when_nothing_runs_it(bed: &Bed) {
    assert_eq!(bed.store.workflow_delete("sdxl").await.unwrap(), WorkflowDeletion::Unknown);
    for _ in 0..2 {
        bed.store.workflow_insert("sdxl", &json!({}), &json!([]), "").await.unwrap();
    }
    let versions = bed.store.workflow_versions("sdxl").await.unwrap();
    assert_eq!(versions.iter().map(|row| row.version).collect::<Vec<_>>(), [2, 1]);
    let user = RenderType { workflow: "sdxl".to_owned(), ..render_type("user", false) };
    bed.store.render_type_save(&user).await.unwrap();
    let kept = bed.store.workflow_delete("sdxl").await.unwrap();
    assert_eq!(kept, WorkflowDeletion::UsedByRenderTypes(vec!["user".to_owned()]));
    bed.store.render_type_delete(user.id).await.unwrap();

    let mut job = queued("a");
    job.recipe.as_mut().unwrap().workflow_id = versions[1].id;
    let job = insert(&bed.store, &job).await;
    assert_eq!(bed.store.workflow_delete("sdxl").await.unwrap(), WorkflowDeletion::UsedByJobs(1));
    bed.store.job_cancel(job.id).await.unwrap();
    assert_eq!(bed.store.workflow_delete("sdxl").await.unwrap(), WorkflowDeletion::Done);
    assert_eq!(bed.store.workflow_latest("sdxl").await.unwrap(), None);
}
