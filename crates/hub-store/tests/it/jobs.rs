//! Taking jobs in and reading them.

use std::collections::{BTreeMap, HashSet};

use chrono::TimeDelta;
use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId},
    job::{JobState, JobStateKind},
    placement::Placement,
    request::{DescribeRequest, DescriptionKind, ImageRef, JobRequest, ToolCall},
};
use hub_store::{Inserted, JobFilter, NewJob, PageCursor, Ran, StoreError, StoreErrorKind};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, assigned, failure, insert, planning, queued, succeeded},
};

on_both!(
    a_job_is_read_as_it_was_answered,
    texts_of_every_kind_survive,
    a_key_finds_its_job_and_refuses_another_request,
    keys_belong_to_their_caller,
    concurrent_inserts_of_one_key_make_one_job,
    a_repeat_is_found_within_its_window_unless_it_came_to_nothing,
    what_was_asked_lately_is_told_once_per_caller_and_request,
    pages_are_complete_and_without_duplicates,
    pages_stay_sound_while_jobs_come_and_go,
    filters_narrow_the_list,
    counts_and_unfinished_tell_what_is_open,
    a_row_that_does_not_decode_is_named,
);

async fn a_job_is_read_as_it_was_answered(bed: &Bed) {
    let new = NewJob {
        warnings: vec!["size rounded".to_owned()],
        priority: -7,
        idempotency_key: Some("k".to_owned()),
        ..queued("a cat")
    };
    let job = insert(&bed.store, &new).await;
    assert_eq!(job.state, JobState::Queued);
    assert_eq!(job.recipe.as_ref().unwrap().seed, u64::MAX);
    assert_eq!(job.times.queued_at, Some(job.times.created_at));
    let job_id = job.id;
    assert_eq!(bed.store.job_get(job_id).await.unwrap(), Some(job));

    for placement in [Placement::Server(ServerId::new()), Placement::Group("big 🦊".to_owned())] {
        let pinned = insert(&bed.store, &NewJob { placement: placement.clone(), ..queued("a bird") }).await;
        assert_eq!(pinned.placement, placement);
        assert_eq!(bed.store.job_get(pinned.id).await.unwrap(), Some(pinned));
    }

    let child = insert(&bed.store, &NewJob { parent: Some(job_id), ..queued("a cat") }).await;
    assert_eq!(child.parent, Some(job_id));
    assert_eq!(bed.store.job_get(child.id).await.unwrap(), Some(child));

    let waiting = insert(&bed.store, &planning("a dog")).await;
    assert_eq!(waiting.state, JobState::Planning);
    assert_eq!(bed.store.job_get(waiting.id).await.unwrap(), Some(waiting));

    let describe = DescribeRequest {
        image: ImageRef::Job(JobId::new()),
        kind: DescriptionKind::Natural,
        language: "de".to_owned(),
    };
    let words = insert(&bed.store, &NewJob { request: JobRequest::Describe(describe), ..planning("") }).await;
    assert_eq!(bed.store.job_get(words.id).await.unwrap(), Some(words));
    assert_eq!(bed.store.job_get(JobId::new()).await.unwrap(), None);
}

async fn texts_of_every_kind_survive(bed: &Bed) {
    let long = "ß水🦊".repeat(3_334);
    for text in [
        "{{ prompt }} {prompt} %s $1 ? :x",
        "o'hara \"; DROP TABLE jobs; --",
        "🦊👩\u{200d}👩\u{200d}👧\u{200d}👦 e\u{301} \u{202e}rtl\u{202c}",
        "\\u0000 \\n\n\t",
        &long,
    ] {
        let job = insert(&bed.store, &planning(text)).await;
        let read = bed.store.job_get(job.id).await.unwrap().unwrap();
        assert_eq!(read.request.prompt(), Some(text));
        assert!(bed.store.job_succeed_with_text(job.id, text, &[text.to_owned()]).await.unwrap());
        let read = bed.store.job_get(job.id).await.unwrap().unwrap();
        assert_eq!(read.text.as_deref(), Some(text));
        assert_eq!(read.warnings, [text]);
    }

    // A caller's NUL is refused at the edge; an LLM's cannot be, and must not fail its job.
    let arguments = serde_json::json!({ "prompt": "a\u{0}b" });
    assert!(ToolCall::parse("generate_image", arguments.as_object().unwrap()).is_err());
    let job = insert(&bed.store, &planning("nul")).await;
    assert!(bed.store.job_succeed_with_text(job.id, "a\0b", &[]).await.unwrap());
    assert_eq!(bed.store.job_get(job.id).await.unwrap().unwrap().text.as_deref(), Some("a\u{fffd}b"));
}

async fn a_key_finds_its_job_and_refuses_another_request(bed: &Bed) {
    let first = NewJob { idempotency_key: Some("once".to_owned()), ..queued("a cat") };
    let job = insert(&bed.store, &first).await;
    let again = NewJob { id: JobId::new(), ..first.clone() };
    assert_eq!(bed.store.job_insert(&again).await.unwrap(), Inserted::Existing(job.clone()));

    let other = NewJob { id: JobId::new(), request_digest: "f".repeat(64), ..first };
    let error = bed.store.job_insert(&other).await.unwrap_err();
    assert!(matches!(error, StoreError::IdempotencyMismatch { job: of } if of == job.id), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(bed.store.job_get(other.id).await.unwrap(), None);

    let error = bed.store.job_insert(&NewJob { id: job.id, ..queued("same id") }).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
}

async fn keys_belong_to_their_caller(bed: &Bed) {
    for name in ["alice", "bob"] {
        let key = Some("once".to_owned());
        insert(&bed.store, &NewJob { caller: Caller::named(name), idempotency_key: key, ..queued("x") }).await;
    }
    // Without a key nothing is a repeat.
    insert(&bed.store, &queued("x")).await;
    insert(&bed.store, &queued("x")).await;
}

async fn concurrent_inserts_of_one_key_make_one_job(bed: &Bed) {
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let store = bed.store.clone();
            let new = NewJob { idempotency_key: Some("race".to_owned()), ..queued("a cat") };
            tokio::spawn(async move { store.job_insert(&new).await.unwrap() })
        })
        .collect();
    let mut new = 0;
    let mut ids = HashSet::new();
    for task in tasks {
        match task.await.unwrap() {
            Inserted::New(job) => {
                new += 1;
                ids.insert(job.id);
            }
            Inserted::Existing(job) => {
                ids.insert(job.id);
            }
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
    assert_eq!(bed.store.job_counts().await.unwrap(), BTreeMap::from([(JobStateKind::Queued, 1)]));
}

async fn a_repeat_is_found_within_its_window_unless_it_came_to_nothing(bed: &Bed) {
    let new = queued("again");
    let caller = Caller::local();
    let first = insert(&bed.store, &new).await;
    let since = first.times.created_at;
    bed.clock.advance(TimeDelta::seconds(1));
    let second = insert(&bed.store, &NewJob { id: JobId::new(), ..new.clone() }).await;

    let find = async |since| bed.store.job_find_repeat(&caller, &new.request_digest, since).await.unwrap();
    assert_eq!(find(since).await.map(|job| job.id), Some(second.id));
    assert!(bed.store.job_fail(second.id, None, &failure()).await.unwrap());
    assert_eq!(find(since).await.map(|job| job.id), Some(first.id));
    assert_eq!(find(second.times.created_at).await, None, "the first one is too old then");
    assert!(bed.store.job_assign(first.id, &crate::samples::attempt(1)).await.unwrap());
    assert!(bed.store.job_succeed(first.id, 1, first.id, Ran::default(), &[artifact(1, 0)]).await.unwrap().is_some());
    assert_eq!(find(since).await.map(|job| job.id), Some(first.id), "a result is worth finding");

    let others = Caller::named("others");
    assert_eq!(bed.store.job_find_repeat(&others, &new.request_digest, since).await.unwrap(), None);
    assert_eq!(bed.store.job_find_repeat(&caller, &"e".repeat(64), since).await.unwrap(), None);
}

async fn what_was_asked_lately_is_told_once_per_caller_and_request(bed: &Bed) {
    let new = queued("asked");
    let first = insert(&bed.store, &new).await;
    bed.clock.advance(TimeDelta::seconds(1));
    let again = insert(&bed.store, &NewJob { id: JobId::new(), ..new.clone() }).await;
    bed.clock.advance(TimeDelta::seconds(1));
    let other = NewJob { caller: Caller::named("others"), ..NewJob { id: JobId::new(), ..new.clone() } };
    let other = insert(&bed.store, &other).await;
    let asked = |job: &hub_core::job::Job| (job.caller.clone(), job.times.created_at);
    let told = async |since, limit| {
        let calls = bed.store.jobs_asked_since(since, limit).await.unwrap();
        calls.into_iter().map(|call| (call.caller, call.asked_at)).collect::<Vec<_>>()
    };
    assert_eq!(told(first.times.created_at, 9).await, [asked(&other), asked(&again)]);
    assert_eq!(told(first.times.created_at, 1).await, [asked(&other)]);
    assert_eq!(told(other.times.created_at, 9).await, [asked(&other)]);
}

async fn pages_are_complete_and_without_duplicates(bed: &Bed) {
    let mut expected = Vec::new();
    for n in 0..23 {
        // Several jobs share a millisecond, as in a burst.
        if n % 5 == 0 {
            bed.clock.advance(TimeDelta::milliseconds(1));
        }
        let job = insert(&bed.store, &if n % 2 == 0 { queued("page") } else { planning("page") }).await;
        expected.push((job.times.created_at, job.id));
    }
    expected.sort();
    expected.reverse();
    let every_state = JobFilter { states: JobStateKind::ALL.to_vec(), ..JobFilter::default() };
    for (filter, limit) in
        [(JobFilter::default(), 1), (every_state.clone(), 1), (every_state, 4), (JobFilter::default(), 500)]
    {
        let mut seen = Vec::new();
        let mut cursor: Option<PageCursor> = None;
        loop {
            let page = bed.store.job_list(&filter, cursor, limit).await.unwrap();
            assert!(page.jobs.len() <= limit as usize);
            seen.extend(page.jobs.iter().map(|job| (job.times.created_at, job.id)));
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(seen, expected, "in pages of {limit}");
    }
    let empty = JobFilter { tool: Some("upscale_image".to_owned()), ..JobFilter::default() };
    let page = bed.store.job_list(&empty, None, 5).await.unwrap();
    assert!(page.jobs.is_empty() && page.next.is_none());
}

async fn pages_stay_sound_while_jobs_come_and_go(bed: &Bed) {
    let mut jobs = Vec::new();
    for _ in 0..6 {
        bed.clock.advance(TimeDelta::milliseconds(1));
        jobs.push(insert(&bed.store, &queued("old")).await.id);
    }
    let first = bed.store.job_list(&JobFilter::default(), None, 3).await.unwrap();
    bed.clock.advance(TimeDelta::milliseconds(1));
    insert(&bed.store, &queued("new")).await;
    // The row under the cursor itself goes away, too.
    bed.store.job_cancel(jobs[3]).await.unwrap();
    bed.clock.advance(TimeDelta::seconds(1));
    delete_old(&bed.store, bed.store.clock().now(), 10).await;
    assert_eq!(bed.store.job_get(jobs[3]).await.unwrap(), None);
    let second = bed.store.job_list(&JobFilter::default(), first.next, 3).await.unwrap();
    let ids: Vec<JobId> = second.jobs.iter().map(|job| job.id).collect();
    assert_eq!(ids, [jobs[2], jobs[1], jobs[0]]);
}

async fn filters_narrow_the_list(bed: &Bed) {
    let alice = insert(&bed.store, &NewJob { caller: Caller::named("alice"), ..queued("x") }).await.id;
    let open = insert(&bed.store, &planning("x")).await.id;
    let done = succeeded(&bed.store, &[]).await;
    let list = async |filter: JobFilter| {
        let page = bed.store.job_list(&filter, None, 10).await.unwrap();
        page.jobs.into_iter().map(|job| job.id).collect::<HashSet<_>>()
    };
    let states = vec![JobStateKind::Planning, JobStateKind::Succeeded];
    assert_eq!(list(JobFilter { states, ..JobFilter::default() }).await, HashSet::from([open, done]));
    let caller = Some(Caller::named("alice"));
    assert_eq!(list(JobFilter { caller, ..JobFilter::default() }).await, HashSet::from([alice]));
    let tool = Some("generate_image".to_owned());
    assert_eq!(list(JobFilter { tool, ..JobFilter::default() }).await.len(), 3);
}

async fn counts_and_unfinished_tell_what_is_open(bed: &Bed) {
    assert!(bed.store.job_counts().await.unwrap().is_empty());
    let first = insert(&bed.store, &planning("a")).await.id;
    bed.clock.advance(TimeDelta::milliseconds(5));
    let (second, _) = assigned(&bed.store).await;
    succeeded(&bed.store, &[]).await;
    succeeded(&bed.store, &[]).await;
    let expected =
        BTreeMap::from([(JobStateKind::Planning, 1), (JobStateKind::Assigned, 1), (JobStateKind::Succeeded, 2)]);
    assert_eq!(bed.store.job_counts().await.unwrap(), expected);
    let open: Vec<JobId> = bed.store.jobs_unfinished().await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(open, [first, second], "oldest first");
}

async fn a_row_that_does_not_decode_is_named(bed: &Bed) {
    for (column, value) in [
        ("request", "'{\"kind\":\"image\",\"prompt\":\"secret'"),
        ("recipe", "'[]'"),
        ("state", "'dreaming'"),
        ("warnings", "'{}'"),
        ("created_at", "9223372036854775807"),
        ("attempts", "-1"),
    ] {
        let job = insert(&bed.store, &queued("a cat")).await;
        bed.sabotage(&format!("UPDATE jobs SET {column} = {value}")).await;
        let error = bed.store.job_get(job.id).await.unwrap_err();
        let StoreError::Inconsistency { table, column: at, row, .. } = &error else { panic!("{column}: {error}") };
        assert_eq!((*table, *at, row.clone()), ("jobs", column, job.id.to_string()));
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(!error.to_string().contains("secret"), "{error}");
        bed.sabotage("DELETE FROM jobs").await;
    }
    let (id, _) = assigned(&bed.store).await;
    bed.sabotage("UPDATE jobs SET prompt_id = NULL").await;
    let error = bed.store.job_get(id).await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistency { column: "prompt_id", .. }), "{error}");
}
