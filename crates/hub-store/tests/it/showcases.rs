//! Pictures that show what a style or a render type looks like.

use chrono::TimeDelta;
use hub_core::ids::JobId;
use hub_store::{ShowcaseOf, Store};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, insert, queued, render_type, style, succeeded},
};

on_both!(
    the_newest_picture_stays_while_another_is_made,
    retention_spares_what_is_shown_as_long_as_its_subject_exists,
    a_deleted_picture_is_shown_no_longer,
);

async fn jobs_of(store: &Store, of: ShowcaseOf) -> Vec<JobId> {
    store.showcases(Some(of)).await.unwrap().of(of).iter().map(|row| row.job.id).collect()
}

async fn the_newest_picture_stays_while_another_is_made(bed: &Bed) {
    let of = ShowcaseOf::Style(style("oil").id);
    assert!(jobs_of(&bed.store, of).await.is_empty());
    let first = succeeded(&bed.store, &[artifact(1, 0)]).await;
    bed.store.showcase_add(of, first, "a").await.unwrap();
    bed.clock.advance(TimeDelta::seconds(1));
    let second = succeeded(&bed.store, &[artifact(2, 0)]).await;
    bed.store.showcase_add(of, second, "b").await.unwrap();
    bed.clock.advance(TimeDelta::seconds(1));
    let third = insert(&bed.store, &queued("third")).await.id;
    bed.store.showcase_add(of, third, "c").await.unwrap();
    assert_eq!(jobs_of(&bed.store, of).await, [third, second], "the first is no longer needed");
    bed.clock.advance(TimeDelta::seconds(1));
    // An identical call found the same job.
    bed.store.showcase_add(of, second, "d").await.unwrap();
    let found = bed.store.showcases(None).await.unwrap();
    let looks: Vec<&str> = found.of(of).iter().map(|row| row.look.as_str()).collect();
    assert_eq!(looks, ["d"]);
    assert_eq!(found.of(of)[0].pictures.len(), 1);
    assert!(bed.store.is_showcase(second).await.unwrap() && !bed.store.is_showcase(third).await.unwrap());
}

async fn retention_spares_what_is_shown_as_long_as_its_subject_exists(bed: &Bed) {
    let (oil, draft) = (style("oil"), render_type("draft", true));
    bed.store.style_save(&oil).await.unwrap();
    bed.store.render_type_save(&draft).await.unwrap();
    let of_style = succeeded(&bed.store, &[artifact(1, 0)]).await;
    let of_type = succeeded(&bed.store, &[artifact(2, 0)]).await;
    let other = succeeded(&bed.store, &[artifact(3, 0)]).await;
    bed.store.showcase_add(ShowcaseOf::Style(oil.id), of_style, "a").await.unwrap();
    bed.store.showcase_add(ShowcaseOf::RenderType(draft.id), of_type, "a").await.unwrap();
    bed.clock.advance(TimeDelta::days(1));
    let now = bed.store.clock().now();
    let expendable = bed.store.jobs_expendable(None, 10).await.unwrap();
    assert_eq!(expendable.iter().map(|row| row.job).collect::<Vec<_>>(), [other]);
    // Chosen before it was shown: it stays all the same.
    assert_eq!(bed.store.jobs_delete(&[of_style, other]).await.unwrap().len(), 1);
    assert!(delete_old(&bed.store, now, 10).await.is_empty());
    assert!(bed.store.style_delete(oil.id).await.unwrap());
    assert_eq!(delete_old(&bed.store, now, 10).await.len(), 1, "nothing is shown by it any more");
    assert!(bed.store.job_get(of_style).await.unwrap().is_none());
    assert!(!bed.store.is_showcase(of_style).await.unwrap(), "the row went with its job");
    assert!(bed.store.job_get(of_type).await.unwrap().is_some());
}

async fn a_deleted_picture_is_shown_no_longer(bed: &Bed) {
    let of = ShowcaseOf::Style(style("oil").id);
    let file = artifact(1, 0);
    let job = succeeded(&bed.store, std::slice::from_ref(&file)).await;
    bed.store.showcase_add(of, job, "a").await.unwrap();
    assert_eq!(bed.store.artifacts_delete(&[file.id], false).await.unwrap().deleted.len(), 1);
    assert!(bed.store.showcases(Some(of)).await.unwrap().of(of)[0].pictures.is_empty());
}
