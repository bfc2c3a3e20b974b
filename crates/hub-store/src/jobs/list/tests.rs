//! How SQLite reads the lists: never all jobs, and never sorted as a whole.

use std::sync::Arc;

use hub_core::{
    clock::SystemClock,
    ids::{JobId, ServerId},
};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement, StatementBuilder};
use uuid::Uuid;

use super::*;

/// The steps of the plan for the first page and for one in the middle.
async fn steps(store: &Store, filter: &JobFilter) -> Vec<String> {
    steps_of(store, |cursor| newest(filter, cursor, 51).into_query()).await
}

async fn steps_of(store: &Store, query: impl Fn(Option<PageCursor>) -> SelectStatement) -> Vec<String> {
    let middle = PageCursor { created_at_ms: 1_795_000_000_000, id: Uuid::now_v7() };
    let mut steps = Vec::new();
    for cursor in [None, Some(middle)] {
        let backend = store.reader().get_database_backend();
        let Statement { sql, values, .. } = StatementBuilder::build(&query(cursor), &backend);
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let explain = Statement { sql, values, db_backend: backend };
        let rows: Vec<QueryResult> = store.reader().query_all_raw(explain).await.expect("a plan");
        steps.extend(rows.iter().map(|row| row.try_get::<String>("", "detail").expect("a step")));
    }
    steps
}

#[tokio::test]
async fn a_page_is_read_by_an_index_that_yields_its_order() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
    let all = JobFilter::default;
    let in_state = |state| JobFilter { states: vec![state], ..all() };
    let some = |text: &str| Some(text.to_owned());
    for (filter, index) in [
        (all(), "jobs_created"),
        (JobFilter { created_from: Some(DateTime::UNIX_EPOCH), ..all() }, "jobs_created"),
        (in_state(JobStateKind::Failed), "jobs_state"),
        (JobFilter { created_to: Some(DateTime::UNIX_EPOCH), ..in_state(JobStateKind::Failed) }, "jobs_state"),
        (JobFilter { caller: Some(Caller::local()), ..all() }, "jobs_caller"),
        (JobFilter { tool: some("edit_image"), ..all() }, "jobs_tool"),
        (JobFilter { server: Some(ServerId::new()), ..all() }, "jobs_server"),
        (JobFilter { render_type: some("sdxl"), ..all() }, "jobs_render_type"),
        (JobFilter { favourite: Some(true), ..all() }, "jobs_favourite"),
        (JobFilter { has_images: Some(true), ..all() }, "jobs_has_images"),
        (JobFilter { has_images: Some(true), tool: some("edit_image"), ..all() }, "jobs_tool"),
        (JobFilter { has_images: Some(true), favourite: Some(true), ..all() }, "jobs_favourite"),
        (JobFilter { has_images: Some(true), ..in_state(JobStateKind::Failed) }, "jobs_state"),
    ] {
        for step in steps(&store, &filter).await {
            assert!(step.contains(&format!("USING INDEX {index}")), "{filter:?}: {step}");
        }
    }
    // Of one job's children there are few.
    for step in steps(&store, &JobFilter { parent: Some(JobId::new()), ..all() }).await {
        assert!(step.contains("jobs_parent") || step.contains("TEMP B-TREE FOR"), "{step}");
    }
}

#[tokio::test]
async fn what_has_a_table_of_its_own_leads_when_it_is_asked_for_alone() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
    let some = |text: &str| Some(text.to_owned());
    let several = vec![JobStateKind::Failed, JobStateKind::Expired];
    for (filter, leads) in [
        (JobFilter { style: some("oil"), ..JobFilter::default() }, "SEARCH job_styles USING COVERING INDEX"),
        (JobFilter { text: some("fox"), ..JobFilter::default() }, "job_prompts"),
        (JobFilter { states: several, ..JobFilter::default() }, "SEARCH jobs USING COVERING INDEX jobs_state"),
    ] {
        let steps = steps(&store, &filter).await;
        assert!(steps.iter().any(|step| step.contains(leads)), "{filter:?}: {steps:?}");
        // The page's own rows are fetched by their ids; only these few are put in order.
        assert!(steps.iter().any(|step| step.starts_with("SEARCH jobs USING") && step.contains("(id=?)")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN jobs ") || step == "SCAN jobs"), "{steps:?}");
    }
}

#[tokio::test]
async fn beside_another_filter_style_and_text_are_looked_up_by_key() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
    let filter = JobFilter {
        style: Some("oil".to_owned()),
        text: Some("fox".to_owned()),
        states: vec![JobStateKind::Failed],
        ..JobFilter::default()
    };
    let steps = steps(&store, &filter).await;
    assert!(steps.iter().any(|step| step.contains("SEARCH jobs USING INDEX jobs_state")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{steps:?}");
}

#[tokio::test]
async fn a_search_reads_the_prompts_and_the_rows_of_its_hits() {
    let store = Store::open("sqlite::memory:", Arc::new(SystemClock)).await.expect("a database");
    let filter = JobFilter {
        text: Some("fox".to_owned()),
        has_images: Some(true),
        states: vec![JobStateKind::Failed, JobStateKind::Expired],
        created_from: Some(DateTime::UNIX_EPOCH),
        ..JobFilter::default()
    };
    let found = steps_of(&store, |cursor| search::found(&filter, cursor, 51).into_query()).await;
    assert!(
        found.iter().any(|step| step.starts_with("SEARCH job_prompts USING PRIMARY KEY (created_at>")),
        "{found:?}"
    );
    let of_jobs = || found.iter().filter(|step| step.contains(" jobs "));
    assert!(of_jobs().all(|step| step.contains("(id=?)")), "{found:?}");
    // Where a step ends is told by the index alone.
    for step in steps_of(&store, |cursor| search::last_of(&JobFilter::default(), cursor, 4000).into_query()).await {
        assert!(step.contains("USING COVERING INDEX jobs_created"), "{step}");
    }
}
