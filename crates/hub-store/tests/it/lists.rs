//! Lists of jobs by what they are filtered by.

use std::time::Duration;

use chrono::TimeDelta;
use hub_core::{
    ids::JobId,
    job::JobStateKind,
    request::{ImageRequest, JobRequest},
};
use hub_store::{JobFilter, NewArtifact, NewJob, SearchBounds};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, attempt, insert, planning, queued, recipe, succeeded},
};

on_both!(
    a_text_is_found_in_prompts_whatever_its_case_and_signs,
    a_style_is_found_wherever_it_was_planned,
    results_and_favourites_are_told_apart,
    server_render_type_and_time_narrow_the_list,
    filters_hold_together_and_page_by_page,
    a_search_in_steps_finds_what_a_list_does,
    a_search_says_how_far_it_came,
    what_lists_need_goes_with_its_job,
);

async fn ids(bed: &Bed, filter: JobFilter) -> Vec<JobId> {
    let page = bed.store.job_list(&filter, None, 100).await.unwrap();
    page.jobs.into_iter().map(|job| job.id).collect()
}

fn text(text: &str) -> JobFilter {
    JobFilter { text: Some(text.to_owned()), ..JobFilter::default() }
}

async fn tick(bed: &Bed, new: NewJob) -> JobId {
    bed.clock.advance(TimeDelta::milliseconds(1));
    insert(&bed.store, &new).await.id
}

async fn a_text_is_found_in_prompts_whatever_its_case_and_signs(bed: &Bed) {
    let fox = tick(bed, queued("A Red FOX, 100% wool_socks")).await;
    let eaves = tick(bed, planning("Über dem Dach: ein Füchslein \\o/")).await;
    let upscale = JobRequest::Image(ImageRequest { prompt: None, ..ImageRequest::generate("") });
    let wordless = tick(bed, NewJob { request: upscale, ..queued("") }).await;
    for (given, found) in [
        ("red fox", vec![fox]),
        ("RED", vec![fox]),
        ("ÜBER", vec![eaves]),
        ("füchs", vec![eaves]),
        ("100%", vec![fox]),
        ("1%0", vec![]),
        ("wool_", vec![fox]),
        ("d_f", vec![]),
        ("\\o", vec![eaves]),
        ("' OR 1=1", vec![]),
        ("e", vec![eaves, fox]),
    ] {
        assert_eq!(ids(bed, text(given)).await, found, "{given}");
        let beside = JobFilter { tool: Some("generate_image".to_owned()), ..text(given) };
        assert_eq!(ids(bed, beside).await, found, "{given} beside another filter");
    }
    assert_eq!(ids(bed, JobFilter::default()).await, [wordless, eaves, fox]);
}

async fn a_style_is_found_wherever_it_was_planned(bed: &Bed) {
    let at_once = tick(bed, queued("a cat")).await;
    let later = tick(bed, planning("a dog")).await;
    let none = hub_core::recipe::Recipe { styles: Vec::new(), ..recipe() };
    let plain = tick(bed, NewJob { recipe: Some(none), ..planning("a cow") }).await;
    let oil = || JobFilter { style: Some("oil".to_owned()), ..JobFilter::default() };
    assert_eq!(ids(bed, oil()).await, [at_once]);
    assert!(bed.store.job_planned(later, &recipe(), &["w".to_owned()]).await.unwrap());
    assert!(!bed.store.job_planned(later, &recipe(), &[]).await.unwrap());
    assert_eq!(ids(bed, oil()).await, [later, at_once]);
    assert_eq!(ids(bed, JobFilter { text: Some("dog".to_owned()), ..oil() }).await, [later]);
    assert_eq!(bed.store.job_get(later).await.unwrap().unwrap().warnings, ["w"]);
    assert!(!ids(bed, oil()).await.contains(&plain));
}

async fn results_and_favourites_are_told_apart(bed: &Bed) {
    let without = tick(bed, queued("x")).await;
    bed.clock.advance(TimeDelta::milliseconds(1));
    let sound = NewArtifact { kind: hub_core::artifact::MediaKind::Audio, ..artifact(9, 0) };
    let heard = succeeded(&bed.store, &[sound]).await;
    bed.clock.advance(TimeDelta::milliseconds(1));
    let seen = succeeded(&bed.store, &[artifact(1, 0), artifact(2, 1)]).await;
    let with = |has_images| JobFilter { has_images: Some(has_images), ..JobFilter::default() };
    assert_eq!(ids(bed, with(true)).await, [seen]);
    assert_eq!(ids(bed, with(false)).await, [heard, without]);

    let favoured = |favourite| JobFilter { favourite: Some(favourite), ..JobFilter::default() };
    let files = bed.store.artifacts_of(seen).await.unwrap();
    for (file, favourite, expected) in [(0, true, 1), (1, true, 1), (0, false, 1), (1, false, 0)] {
        assert!(bed.store.artifact_set_favourite(files[file].id, favourite).await.unwrap());
        assert_eq!(ids(bed, favoured(true)).await.len(), expected, "file {file} is {favourite}");
        assert_eq!(ids(bed, favoured(false)).await.len(), 3 - expected);
    }
}

async fn server_render_type_and_time_narrow_the_list(bed: &Bed) {
    let first = tick(bed, queued("x")).await;
    let at = attempt(1);
    assert!(bed.store.job_assign(first, &at).await.unwrap());
    let second = tick(bed, planning("x")).await;
    let third = tick(bed, NewJob { parent: Some(first), ..queued("x") }).await;
    let on = |server| JobFilter { server: Some(server), ..JobFilter::default() };
    assert_eq!(ids(bed, on(at.server)).await, [first]);
    assert_eq!(ids(bed, on(attempt(1).server)).await, []);
    let draft = JobFilter { render_type: Some("draft".to_owned()), ..JobFilter::default() };
    assert_eq!(ids(bed, draft).await, [third, first]);
    assert_eq!(ids(bed, JobFilter { parent: Some(first), ..JobFilter::default() }).await, [third]);

    let created = bed.store.job_get(second).await.unwrap().unwrap().times.created_at;
    let from = JobFilter { created_from: Some(created), ..JobFilter::default() };
    assert_eq!(ids(bed, from.clone()).await, [third, second], "from is part of it");
    let to = JobFilter { created_to: Some(created), ..JobFilter::default() };
    assert_eq!(ids(bed, to.clone()).await, [first], "to is not");
    assert_eq!(ids(bed, JobFilter { created_to: to.created_to, ..from }).await, []);
    assert_eq!(ids(bed, JobFilter { text: Some("x".to_owned()), ..to }).await, [first]);
}

async fn filters_hold_together_and_page_by_page(bed: &Bed) {
    let mut expected = Vec::new();
    for n in 0..40 {
        let new = if n % 2 == 0 { queued("a fox") } else { planning("a hen") };
        let id = tick(bed, new).await;
        if n % 4 == 0 {
            bed.store.job_cancel(id).await.unwrap();
            expected.insert(0, id);
        }
    }
    let base = || JobFilter { text: Some("FOX".to_owned()), ..JobFilter::default() };
    let states = |states: &[JobStateKind]| JobFilter { states: states.to_vec(), ..base() };
    let cancelled = states(&[JobStateKind::Cancelled]);
    let ended = states(&[JobStateKind::Cancelled, JobStateKind::Failed, JobStateKind::Expired]);
    let styled = JobFilter { style: Some("oil".to_owned()), ..cancelled.clone() };
    for (filter, limit) in [(cancelled, 3), (ended, 4), (styled, 1), (base(), 7)] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = bed.store.job_list(&filter, cursor, limit).await.unwrap();
            assert!(page.jobs.len() <= limit as usize);
            seen.extend(page.jobs.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            cursor = Some(next);
        }
        if filter == base() {
            assert_eq!(seen.len(), 20);
            seen.retain(|id| expected.contains(id));
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
}

async fn a_search_in_steps_finds_what_a_list_does(bed: &Bed) {
    let mut middle = None;
    for n in 0..30 {
        let new = if n % 3 == 0 { queued("a fox") } else { planning("a hen") };
        // Several of one millisecond, which a step must not part.
        let id = if n % 5 == 0 { tick(bed, new).await } else { insert(&bed.store, &new).await.id };
        if n % 2 == 0 {
            bed.store.job_cancel(id).await.unwrap();
        }
        if n == 15 {
            middle = bed.store.job_get(id).await.unwrap().map(|job| job.times.created_at);
        }
    }
    let fox = || text("fox");
    let generated = |filter| JobFilter { tool: Some("generate_image".to_owned()), ..filter };
    let filters = [
        fox(),
        text("nowhere"),
        generated(fox()),
        JobFilter { style: Some("oil".to_owned()), ..fox() },
        JobFilter { states: vec![JobStateKind::Cancelled], ..fox() },
        JobFilter { states: vec![JobStateKind::Cancelled, JobStateKind::Queued], ..fox() },
        JobFilter { states: vec![JobStateKind::Cancelled, JobStateKind::Expired], ..generated(JobFilter::default()) },
        generated(JobFilter { has_images: Some(true), ..JobFilter::default() }),
        JobFilter { created_from: middle, ..generated(fox()) },
        JobFilter { created_to: middle, ..fox() },
        JobFilter { states: vec![JobStateKind::Queued], ..JobFilter::default() },
    ];
    for filter in filters {
        let expected = ids(bed, filter.clone()).await;
        for (step_jobs, limit) in [(1, 2), (4, 3), (7, 100), (100, 1)] {
            let bounds = SearchBounds { patience: Duration::ZERO, step_jobs };
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = bed.store.job_search(&filter, cursor, limit, bounds).await.unwrap();
                assert!(page.jobs.len() <= limit as usize);
                assert!(page.searched_to.is_none() || page.next.is_some(), "{filter:?}");
                seen.extend(page.jobs.iter().map(|job| job.id));
                let Some(next) = page.next else { break };
                cursor = Some(next);
            }
            assert_eq!(seen, expected, "{filter:?} in steps of {step_jobs}, pages of {limit}");
        }
    }
}

async fn a_search_says_how_far_it_came(bed: &Bed) {
    let mut times = Vec::new();
    for _ in 0..10 {
        let id = tick(bed, queued("a hen")).await;
        times.insert(0, bed.store.job_get(id).await.unwrap().unwrap().times.created_at);
    }
    let of_three = SearchBounds { patience: Duration::ZERO, step_jobs: 3 };
    let first = bed.store.job_search(&text("fox"), None, 5, of_three).await.unwrap();
    assert_eq!((first.jobs.len(), first.searched_to), (0, Some(times[2])));
    let second = bed.store.job_search(&text("fox"), first.next, 5, of_three).await.unwrap();
    assert_eq!(second.searched_to, Some(times[5]));
    // Who has time gets all at once, and a page that is full has no more to tell.
    let patient = SearchBounds { patience: Duration::from_mins(1), step_jobs: 3 };
    let whole = bed.store.job_search(&text("fox"), None, 5, patient).await.unwrap();
    assert_eq!((whole.jobs.len(), whole.next, whole.searched_to), (0, None, None));
    let full = bed.store.job_search(&text("hen"), None, 2, of_three).await.unwrap();
    assert_eq!((full.jobs.len(), full.searched_to), (2, None));
    assert!(full.next.is_some());
    // One filter has its index: nothing is searched.
    let tool = JobFilter { tool: Some("edit_image".to_owned()), ..JobFilter::default() };
    let none = bed.store.job_search(&tool, None, 5, of_three).await.unwrap();
    assert_eq!((none.next, none.searched_to), (None, None));
}

async fn what_lists_need_goes_with_its_job(bed: &Bed) {
    let id = tick(bed, queued("a fox")).await;
    bed.store.job_cancel(id).await.unwrap();
    bed.clock.advance(TimeDelta::seconds(1));
    delete_old(&bed.store, bed.store.clock().now(), 10).await;
    // A row that were left would name a job that is not there, which the insert refuses.
    assert_eq!(ids(bed, text("fox")).await, []);
    let again = tick(bed, NewJob { id, ..queued("a hen") }).await;
    assert_eq!(ids(bed, text("fox")).await, []);
    assert_eq!(ids(bed, text("hen")).await, [again]);
}
