//! Moves that cross their jobs on the way to the dispatcher.

use futures_util::FutureExt as _;
use hub_core::{clock::SystemClock, job::Job};
use hub_store::{Inserted, Store};
use object_store::memory::InMemory;

use super::*;
use crate::{Engine, EngineConfig, Precedence, samples};

async fn start() -> Engine {
    let clock = Arc::new(SystemClock);
    let store = Store::open("sqlite::memory:", clock.clone()).await.expect("a database in memory");
    Engine::start(EngineConfig::default(), store, Arc::new(InMemory::new()), clock).await.expect("an engine")
}

/// A job that is stored as one that waits, and is not in the queue.
async fn stored(engine: &Engine) -> Job {
    match engine.store().job_insert(&samples::job(None)).await.expect("stored") {
        Inserted::New(job) | Inserted::Existing(job) => job,
    }
}

#[tokio::test]
async fn a_job_that_was_read_before_it_was_moved_comes_with_what_is_stored() {
    let engine = start().await;
    let (background, read) = (engine.background(), stored(&engine).await);
    // On its way from the planner.
    engine.job_move(read.id, Precedence::Priority(7)).await.expect("moved");
    background.enqueue(read.clone());
    assert_eq!(background.priorities(&read.caller, JobId::new()).await, Some((7, 7)));
    // Given to an attempt, and on its way back.
    background.inner().dispatch.forget(read.id);
    engine.job_move(read.id, Precedence::Priority(9)).await.expect("moved");
    background.enqueue(read.clone());
    assert_eq!(background.priorities(&read.caller, JobId::new()).await, Some((9, 9)));
}

#[tokio::test]
async fn what_a_move_has_begun_is_ended_although_whoever_asked_is_gone() {
    let engine = start().await;
    let (job, other) = (stored(&engine).await, stored(&engine).await);
    engine.background().enqueue(job.clone());
    let asked = engine.job_move(job.id, Precedence::Priority(7)).now_or_never();
    assert!(asked.is_none(), "it is not done at once");
    // Moves are made one at a time: after this one that one is done.
    engine.job_move(other.id, Precedence::Priority(1)).await.expect("moved");
    let row = engine.store().job_get(job.id).await.expect("read").expect("there");
    let in_queue = engine.background().priorities(&job.caller, other.id).await;
    assert_eq!((row.priority, in_queue), (7, Some((7, 7))));
}
