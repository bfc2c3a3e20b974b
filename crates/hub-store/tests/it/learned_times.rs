//! What was learned of run and load times.

use chrono::TimeDelta;
use hub_core::ids::ServerId;
use hub_store::LearnedTime;

use crate::bed::{Bed, on_both};

on_both!(what_is_learned_takes_the_place_of_what_was_known, what_is_old_is_forgotten,);

fn learned(subject: &str, value: f64) -> LearnedTime {
    LearnedTime { what: "run".to_owned(), subject: subject.to_owned(), server: ServerId::new(), value, samples: 1 }
}

async fn what_is_learned_takes_the_place_of_what_was_known(bed: &Bed) {
    let since = bed.store.clock().now() - TimeDelta::days(1);
    let first = learned("a", 0.25);
    // More than one statement takes.
    let many: Vec<LearnedTime> = (0..1200).map(|at| learned(&format!("{at:04}"), f64::from(at))).collect();
    bed.store.learned_times_keep(std::slice::from_ref(&first)).await.unwrap();
    bed.store.learned_times_keep(&many).await.unwrap();
    let better = LearnedTime { value: 0.75, samples: u32::MAX, ..first };
    bed.store.learned_times_keep(std::slice::from_ref(&better)).await.unwrap();
    let rows = bed.store.learned_times(since).await.unwrap();
    assert_eq!(rows.len(), 1201);
    assert_eq!(rows.iter().find(|row| row.subject == "a"), Some(&better));
    bed.store.learned_times_keep(&[]).await.unwrap();
}

async fn what_is_old_is_forgotten(bed: &Bed) {
    bed.store.learned_times_keep(&[learned("a", 1.0)]).await.unwrap();
    let later = bed.store.clock().now() + TimeDelta::days(1);
    assert_eq!(bed.store.learned_times(later).await.unwrap(), []);
}
