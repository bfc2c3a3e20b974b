//! Artifacts.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use hub_core::{
    artifact::{Artifact, ArtifactRole},
    ids::ArtifactId,
};
use hub_store::{NewArtifact, Ran, StoreError, StoreErrorKind};

use crate::{
    bed::{Bed, on_both},
    samples::{artifact, assigned, succeeded},
};

on_both!(
    seeds_and_sizes_survive_to_the_last_bit,
    results_come_by_position_and_per_job,
    inputs_belong_to_no_job,
    lists_are_complete_and_newest_first,
    a_favourite_can_be_set_and_unset,
    a_result_that_cannot_be_stored_leaves_the_job_as_it_was,
    a_broken_row_is_named,
);

async fn seeds_and_sizes_survive_to_the_last_bit(bed: &Bed) {
    let seeds = [Some(u64::MAX), Some(0), Some(i64::MAX as u64 + 1), None];
    let files: Vec<NewArtifact> = (0u8..)
        .zip(seeds)
        .map(|(n, seed)| NewArtifact { seed, width_px: u32::MAX, node: None, ..artifact(n, n.into()) })
        .collect();
    let job = succeeded(&bed.store, &files).await;
    let read = bed.store.artifacts_of(job).await.unwrap();
    assert_eq!(read.iter().map(|file| file.seed).collect::<Vec<_>>(), seeds);
    for (file, given) in read.iter().zip(&files) {
        assert_eq!((file.id, file.width_px, file.size_bytes), (given.id, u32::MAX, given.size_bytes));
        assert_eq!((file.job, file.role, file.favourite), (Some(job), ArtifactRole::Output, false));
        assert_eq!(bed.store.artifact_get(file.id).await.unwrap().as_ref(), Some(file));
    }
    assert_eq!(bed.store.artifact_get(ArtifactId::new()).await.unwrap(), None);
}

async fn results_come_by_position_and_per_job(bed: &Bed) {
    let one = succeeded(&bed.store, &[artifact(1, 2), artifact(2, 0), artifact(3, 1)]).await;
    let two = succeeded(&bed.store, &[artifact(1, 0)]).await;
    let none = succeeded(&bed.store, &[]).await;
    let of = bed.store.artifacts_of_many(&[one, two, none]).await.unwrap();
    let positions: BTreeMap<_, Vec<u32>> =
        of.iter().map(|(job, files)| (*job, files.iter().map(|file| file.position).collect())).collect();
    assert_eq!(positions, BTreeMap::from([(one, vec![0, 1, 2]), (two, vec![0])]));
    assert!(bed.store.artifacts_of(none).await.unwrap().is_empty());
    assert!(bed.store.artifacts_of_many(&[]).await.unwrap().is_empty());
}

async fn inputs_belong_to_no_job(bed: &Bed) {
    let new = NewArtifact { seed: None, node: None, ..artifact(7, 0) };
    let input = bed.store.artifact_insert_input(&new).await.unwrap();
    assert_eq!((input.job, input.role), (None, ArtifactRole::Input));
    assert_eq!(bed.store.artifact_get(input.id).await.unwrap(), Some(input.clone()));
    // Among results, the given ones are found, newest first.
    succeeded(&bed.store, &[artifact(1, 0)]).await;
    bed.clock.advance(TimeDelta::milliseconds(1));
    let later = bed.store.artifact_insert_input(&artifact(8, 0)).await.unwrap();
    let newest = async |role, limit| bed.store.inputs_newest(role, limit).await.unwrap();
    assert_eq!(newest(ArtifactRole::Input, 1).await, std::slice::from_ref(&later));
    assert_eq!(newest(ArtifactRole::Input, 9).await, [later.clone(), input.clone()]);
    // A mask is none to work on.
    bed.store.input_set_mask(later.id, true).await.unwrap();
    assert_eq!(newest(ArtifactRole::Input, 9).await, std::slice::from_ref(&input));
    let mask = Artifact { role: ArtifactRole::Mask, ..later.clone() };
    assert_eq!(newest(ArtifactRole::Mask, 9).await, std::slice::from_ref(&mask));
    // It is found by its bytes all the same, and can become one to work on.
    assert_eq!(bed.store.artifact_find_input(&later.sha256).await.unwrap(), Some(mask));
    bed.store.input_set_mask(later.id, false).await.unwrap();
    assert_eq!(newest(ArtifactRole::Input, 9).await, [later, input]);
    assert!(newest(ArtifactRole::Mask, 9).await.is_empty());
}

async fn lists_are_complete_and_newest_first(bed: &Bed) {
    let mut expected = Vec::new();
    for n in 0..7 {
        if n % 3 == 0 {
            bed.clock.advance(TimeDelta::milliseconds(1));
        }
        let file = bed.store.artifact_insert_input(&artifact(n, 0)).await.unwrap();
        expected.push((file.created_at, file.id));
    }
    expected.sort();
    expected.reverse();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = bed.store.artifact_list(2, cursor).await.unwrap();
        seen.extend(page.artifacts.iter().map(|file| (file.created_at, file.id)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

async fn a_favourite_can_be_set_and_unset(bed: &Bed) {
    let file = bed.store.artifact_insert_input(&artifact(1, 0)).await.unwrap();
    for favourite in [true, false] {
        assert!(bed.store.artifact_set_favourite(file.id, favourite).await.unwrap());
        assert_eq!(bed.store.artifact_get(file.id).await.unwrap().unwrap().favourite, favourite);
    }
    assert!(!bed.store.artifact_set_favourite(ArtifactId::new(), true).await.unwrap());
}

async fn a_result_that_cannot_be_stored_leaves_the_job_as_it_was(bed: &Bed) {
    let (id, _) = assigned(&bed.store).await;
    let before = bed.store.job_get(id).await.unwrap();
    let file = artifact(1, 0);
    let error = bed.store.job_succeed(id, 1, id, Ran::default(), &[file.clone(), file.clone()]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    assert_eq!(bed.store.job_get(id).await.unwrap(), before);
    assert!(bed.store.artifacts_of(id).await.unwrap().is_empty());
    assert!(bed.store.job_succeed(id, 1, id, Ran::default(), &[file]).await.unwrap().is_some());
}

async fn a_broken_row_is_named(bed: &Bed) {
    let file = bed.store.artifact_insert_input(&artifact(1, 0)).await.unwrap();
    bed.sabotage("UPDATE artifacts SET kind = 'smell'").await;
    let error = bed.store.artifact_get(file.id).await.unwrap_err();
    let StoreError::Inconsistency { table: "artifacts", column: "kind", row, .. } = error else { panic!("{error}") };
    assert_eq!(row, file.id.to_string());
}
